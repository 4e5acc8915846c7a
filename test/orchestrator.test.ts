/** The orchestrator with real processes: stand-in engines that are started, put to sleep, woken, killed and found again. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { EngineSpec } from "../src/orchestrator/engine-world.ts";
import { systemProcesses } from "../src/platform/processes.ts";
import { askEngine as ask, EngineGround, engineSpec as spec, type Orchestrated } from "./support/engine-ground.ts";
import { until } from "./support/until.ts";

let ground: EngineGround;

beforeEach(() => {
  ground = new EngineGround();
});

afterEach(async () => {
  await ground[Symbol.asyncDispose]();
});

function orchestrate(engine: EngineSpec, program?: readonly string[]): Orchestrated {
  return ground.orchestrate(engine, program === undefined ? {} : { program });
}

test("an engine starts, falls asleep and wakes at both levels, gives the same answer each time, and ends without a trace", async () => {
  const { orchestrator, effects, next } = orchestrate(spec());
  effects.start("tiny");
  assert.deepEqual(await next(), { kind: "awake" });
  const { pid } = orchestrator.info("tiny");
  assert.ok(pid !== null);
  assert.deepEqual(ground.records, ["tiny.json"]);
  const before = await ask(orchestrator);
  for (const level of [1, 2, 1] as const) {
    effects.sleep("tiny", level, "none");
    assert.deepEqual(await next(), { kind: "asleep" });
    effects.wake("tiny", level);
    assert.deepEqual(await next(), { kind: "awake" });
    assert.equal(await ask(orchestrator), before);
  }
  effects.stop("tiny");
  assert.deepEqual(await next(), { kind: "stopped" });
  assert.deepEqual(systemProcesses.members(pid), []);
  assert.deepEqual(ground.records, []);
  assert.equal(orchestrator.connection("tiny"), null);
});

test("a program that is not there is a failure of the model, and names the program", async () => {
  const { effects, next } = orchestrate(spec(), [join(ground.folder, "no-such-program")]);
  effects.start("tiny");
  const answer = await next();
  assert.equal(answer.kind, "wake failed");
  assert.match(answer.reason?.message ?? "", /no-such-program.*ENOENT/);
  assert.deepEqual(ground.records, []);
});

test("a port that is taken is named before anything is started", async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  const { effects, next, log } = orchestrate(spec({ port }));
  effects.start("tiny");
  const answer = await next();
  server.close();
  assert.equal(answer.kind, "wake failed");
  assert.match(answer.reason?.message ?? "", new RegExp(`port ${port} .*EADDRINUSE`));
  assert.deepEqual(log.named("engine started"), []);
});

test("an engine that exits at its start is a failure with its own words, not a crash", async () => {
  const { effects, next } = orchestrate(spec({ extraArgs: ["--gpu-memory-utilization", "7"] }));
  effects.start("tiny");
  const answer = await next();
  assert.equal(answer.kind, "wake failed");
  assert.match(answer.reason?.message ?? "", /exited with code \d+ before it was ready; its output ends with: .*7/);
  assert.ok((answer.reason?.lastOutput ?? []).length > 0);
});

for (const state of ["awake", "asleep"] as const) {
  test(`an engine that is killed while ${state} is a crash, and its children are ended`, async () => {
    const { orchestrator, effects, next } = orchestrate(spec());
    effects.start("tiny");
    await next();
    if (state === "asleep") {
      effects.sleep("tiny", 1, "none");
      await next();
    }
    const { pid } = orchestrator.info("tiny");
    assert.ok(pid !== null);
    process.kill(pid, "SIGKILL");
    const answer = await next();
    assert.equal(answer.kind, "crashed");
    assert.match(answer.reason?.message ?? "", /was ended by SIGKILL/);
    effects.stop("tiny");
    assert.deepEqual(await next(), { kind: "stopped" });
    assert.deepEqual(systemProcesses.members(pid), []);
  });
}

test("a stop during a start breaks it off: one answer, no process", async () => {
  const { orchestrator, effects, next, answers } = orchestrate(spec({ env: { MOCK_VLLM_LOAD_MS: "60000" } }));
  effects.start("tiny");
  const pid = await until("it runs", () => orchestrator.info("tiny").pid);
  effects.stop("tiny");
  assert.deepEqual(await next(), { kind: "stopped" });
  assert.deepEqual(systemProcesses.members(pid), []);
  assert.deepEqual(answers, []);
});

test("a sleep that answers 200 and frees nothing is a failed sleep", async () => {
  const { effects, next } = orchestrate(spec({ sleepModeFlag: false }));
  effects.start("tiny");
  await next();
  effects.sleep("tiny", 1, "none");
  const answer = await next();
  assert.equal(answer.kind, "sleep failed");
  assert.match(answer.reason?.message ?? "", /no GPU memory came free: it still holds \d+ MiB of \d+ MiB/);
});

test("engines that a killed llmux left are found by a new one and ended", async () => {
  const first = orchestrate(spec());
  first.effects.start("tiny");
  await first.next();
  const { pid } = first.orchestrator.info("tiny");
  assert.ok(pid !== null);
  const second = orchestrate(spec());
  await second.orchestrator.endLeftovers();
  assert.deepEqual(systemProcesses.members(pid), []);
  assert.deepEqual(ground.records, []);
  assert.equal(second.log.named("leftover engine ended").length, 1);
});
