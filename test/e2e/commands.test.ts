/** The operator's commands against a llmux that runs, and a configuration of llmux 0.3.0. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { controlSocketPath } from "../../src/base/state-files.ts";
import { operateModel } from "../../src/control/control-client.ts";
import type { StatusDocument } from "../../src/control/status.ts";
import { until } from "../support/until.ts";
import { freePort } from "./support/free-port.ts";
import { LLMUX } from "./support/llmux-process.ts";
import { scenario } from "./support/scenario.ts";
import type { Stage } from "./support/stage.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of llmux to its end, about the llmux of this test. */
function run(stage: Stage, ...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [LLMUX, ...args, "--state-dir", stage.stateDir],
      { env: stage.environment },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

scenario("ps tells what runs, for people and as JSON", {}, async (stage) => {
  await stage.client.ask("a");
  const stream = await stage.client.stream("b", { tokens: 8 });
  await stream.ended;
  await until("the lease is back", async () => (await stage.model("b")).in_flight === 0);
  const table = await run(stage, "ps");
  assert.equal(table.code, 0, table.err);
  assert.match(table.out, /^a\s.*asleep/m);
  assert.match(table.out, /^b\s.*awake/m);
  assert.match(table.out, /^c\s.*stopped/m);
  const { models, active, pid } = JSON.parse((await run(stage, "ps", "--json")).out) as StatusDocument;
  assert.deepEqual(active, ["b"]);
  assert.equal(pid, stage.llmux.pid);
  assert.deepEqual(
    models.map(({ id, state }) => [id, state]),
    [
      ["a", "asleep"],
      ["b", "awake"],
      ["c", "stopped"],
    ],
  );
});

scenario("ps tells how far a start has come", {}, async (stage) => {
  stage.order("a", { "never-ready": { times: 1 } });
  const waiting = stage.client.ask("a");
  await stage.log.until("engine progress", { model: "a", stage: "loading weights" });
  const { models } = JSON.parse((await run(stage, "ps", "--json")).out) as StatusDocument;
  assert.equal(models[0]?.state, "starting");
  assert.equal(models[0].waiting, 1);
  assert.deepEqual(models[0].progress, { stage: "loading weights", percent: null });
  await operateModel(controlSocketPath(stage.stateDir), "a", "stop");
  assert.equal((await waiting).status, 503);
});

scenario("logs shows the output of an engine, and sleep and stop put models away", {}, async (stage) => {
  await stage.client.ask("a");
  const logs = await run(stage, "logs", "a");
  assert.equal(logs.code, 0, logs.err);
  assert.match(logs.out, /Model loading took/);
  assert.match(logs.out, /Application startup complete/);
  const slept = await run(stage, "sleep", "a");
  assert.equal(slept.code, 0, slept.err);
  await stage.log.until("model asleep", { model: "a" });
  assert.equal((await stage.client.ask("a")).status, 200, "a request wakes it again");
  const { apiPid } = await stage.engine("a");
  assert.equal((await run(stage, "stop", "a")).code, 0);
  await stage.log.until("engine ended", { model: "a", pid: apiPid });
  assert.equal((await stage.client.ask("a")).status, 200, "a request starts it again");
  const unknown = await run(stage, "stop", "gpt-17");
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.err, /no model gpt-17/);
});

scenario(
  "stop during a start breaks it off, who waits is told so, and the next request starts anew",
  {},
  async (stage) => {
    stage.order("a", { "never-ready": { times: 1 } });
    const waiting = stage.client.ask("a");
    await stage.log.until("engine progress", { model: "a", stage: "loading weights" });
    assert.equal((await run(stage, "stop", "a")).code, 0);
    const refused = await waiting;
    assert.equal(refused.status, 503);
    assert.equal(refused.error?.code, "stopped_by_operator");
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

scenario("stop lets a running stream end", { models: { a: { mock: { itl_ms: 20 } } } }, async (stage) => {
  const stream = await stage.client.stream("a", { tokens: 80 });
  await stream.begun();
  // Without a process in between, which might take longer than the stream.
  const { state } = await operateModel(controlSocketPath(stage.stateDir), "a", "stop");
  assert.equal(state, "draining");
  assert.equal(await stream.ended, "complete");
  assert.equal(stream.pieces, 80);
  await stage.log.until("engine stopped", { model: "a" });
});

scenario("a command for a llmux that does not run says so", { start: false }, async (stage) => {
  const answer = await run(stage, "ps");
  assert.notEqual(answer.code, 0);
  assert.match(answer.err, /no llmux is running/);
});

function oldModel(id: string, port: number, level: number): object {
  return { model_path: `org/${id}`, port, extra_args: ["--gpu-memory-utilization", "0.8"], sleep_level: level };
}

scenario("a configuration of llmux 0.3.0 runs as it is", { start: false }, async (stage) => {
  const metricsPort = await freePort();
  const enginePort = await freePort();
  const config = join(stage.folder, "config.json");
  const document = {
    models: { one: oldModel("one", await freePort(), 1), two: oldModel("two", enginePort, 2) },
    policy: {
      policy_type: "fifo",
      request_timeout_secs: 60,
      drain_before_switch: true,
      sleep_level: 1,
      min_active_secs: 0,
    },
    port: stage.port,
    metrics_port: metricsPort,
    vllm_command: "mock-vllm",
  };
  writeFileSync(config, JSON.stringify(document, null, 2));
  // It names no folder: the default one, in this test's own home.
  stage.stateDir = join(stage.folder, ".local/state/llmux");
  await stage.launch(config).log.until("listening");
  const first = await stage.client.ask("one");
  for (const name of ["two", "one", "two"]) assert.equal((await stage.client.ask(name)).status, 200);
  assert.equal((await stage.client.ask("one")).text, first.text);
  const { port, level } = await stage.model("two");
  assert.deepEqual([port, level], [enginePort, 2]);
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  assert.match(metrics, /llmux_switch_total\{from="one",to="two",result="success"\} 2/);
});
