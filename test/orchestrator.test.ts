/** The orchestrator with real processes: stand-in engines that are started, put to sleep, woken, killed and found again. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Failure } from "../src/base/failure.ts";
import { Orchestrator } from "../src/orchestrator/orchestrator.ts";
import type { EngineSpec } from "../src/orchestrator/supervisor.ts";
import { claimPort } from "../src/platform/loopback-port.ts";
import { nvidiaSmi } from "../src/platform/nvidia-smi.ts";
import { systemProcesses } from "../src/platform/processes.ts";
import { systemClock } from "../src/platform/system-clock.ts";
import { createEnginePool, createHttpClient } from "../src/platform/undici-http-client.ts";
import { RecordingLog } from "./support/recording-log.ts";
import { until } from "./support/until.ts";

const STAND_IN = [process.execPath, fileURLToPath(new URL("../bin/mock-vllm.js", import.meta.url))];

interface Answer {
  readonly kind: string;
  readonly reason?: Failure;
}

let folder: string;
let open: { stop: () => Promise<void> }[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-orchestrator-"));
  open = [];
});

afterEach(async () => {
  for (const one of open) await one.stop();
  rmSync(folder, { recursive: true, force: true });
});

function spec(extra: Partial<EngineSpec> = {}): EngineSpec {
  return {
    name: "tiny",
    aliases: ["small"],
    modelPath: "org/tiny",
    gpus: [0],
    sleepModeFlag: true,
    extraArgs: ["--gpu-memory-utilization", "0.8"],
    env: {},
    port: null,
    startupTimeoutMs: 20_000,
    ...extra,
  };
}

function orchestrate(engine: EngineSpec, program: readonly string[] = STAND_IN) {
  const environment: Record<string, string> = {
    PATH: process.env["PATH"] ?? "",
    MOCK_VLLM_LEDGER: join(folder, "ledger"),
    MOCK_VLLM_GPUS: "0:8GiB",
    MOCK_VLLM_LOAD_MS: "0",
    MOCK_VLLM_SLEEP_MS: "0",
    MOCK_VLLM_WAKE_MS: "0",
    MOCK_VLLM_RELOAD_MS: "0",
  };
  const answers: Answer[] = [];
  const say = (kind: string) => (_model: string, reason?: Failure) =>
    void answers.push(reason === undefined ? { kind } : { kind, reason });
  const http = createHttpClient();
  const log = new RecordingLog();
  const orchestrator = new Orchestrator(
    {
      engines: [engine],
      stateDir: join(folder, "state"),
      program,
      environment,
      limits: { sleepTimeoutMs: 5_000, wakeTimeoutMs: 5_000, reloadTimeoutMs: 5_000, stopGraceMs: 5_000 },
      clock: systemClock,
      processes: systemProcesses,
      http,
      probe: nvidiaSmi([...STAND_IN, "nvidia-smi"], environment),
      log,
      claimPort,
      createPool: createEnginePool,
    },
    {
      onAwake: say("awake"),
      onWakeFailed: say("wake failed"),
      onAsleep: say("asleep"),
      onSleepFailed: say("sleep failed"),
      onStopped: say("stopped"),
      onStopFailed: say("stop failed"),
      onCrashed: say("crashed"),
    },
  );
  const next = (): Promise<Answer> => until("the engine answers", () => answers.shift());
  const { effects } = orchestrator;
  const stop = async (): Promise<void> => {
    answers.length = 0;
    effects.stop("tiny");
    await until("it is stopped", () => answers.some(({ kind }) => kind === "stopped"));
    await http.close();
  };
  open.push({ stop });
  return { orchestrator, effects, next, answers, log, environment };
}

async function ask(orchestrator: Orchestrator): Promise<string> {
  const connection = orchestrator.connection("tiny");
  assert.ok(connection !== null);
  const response = await fetch(`${connection.origin}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "small", prompt: "hello", temperature: 0, seed: 42, max_tokens: 20 }),
  });
  const answer = (await response.json()) as { choices: [{ text: string }] };
  return answer.choices[0].text;
}

function records(): string[] {
  return readdirSync(join(folder, "state", "engines"));
}

test("an engine starts, falls asleep and wakes at both levels, gives the same answer each time, and ends without a trace", async () => {
  const { orchestrator, effects, next } = orchestrate(spec());
  effects.start("tiny");
  assert.deepEqual(await next(), { kind: "awake" });
  const { pid } = orchestrator.info("tiny");
  assert.ok(pid !== null);
  assert.deepEqual(records(), ["tiny.json"]);
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
  assert.deepEqual(records(), []);
  assert.equal(orchestrator.connection("tiny"), null);
});

test("a program that is not there is a failure of the model, and names the program", async () => {
  const { effects, next } = orchestrate(spec(), [join(folder, "no-such-program")]);
  effects.start("tiny");
  const answer = await next();
  assert.equal(answer.kind, "wake failed");
  assert.match(answer.reason?.message ?? "", /no-such-program.*ENOENT/);
  assert.deepEqual(records(), []);
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
  assert.deepEqual(records(), []);
  assert.equal(second.log.named("leftover engine ended").length, 1);
});
