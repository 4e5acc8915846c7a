/** The app as a library has it: what a host program can rely on at its end. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:net";
import { test, type TestContext } from "node:test";
import { createApp } from "../src/app.ts";
import { parseConfig } from "../src/config/load.ts";
import type { Clock } from "../src/ports/clock.ts";
import { claimPort } from "../src/platform/loopback-port.ts";
import { systemPlatform } from "../src/platform/platform.ts";
import { systemClock } from "../src/platform/system-clock.ts";
import { RecordingLog } from "./support/recording-log.ts";
import { until } from "./support/until.ts";

/** `metricsPort`: 0 for none. */
async function appIn(t: TestContext, metricsPort = 0, options: { clock?: Clock; onJournal?: () => void } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "llmux-app-"));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  const port = await claimPort("127.0.0.1", 0);
  const env = { MOCK_VLLM_LEDGER: join(folder, "ledger"), MOCK_VLLM_GPUS: "0:8GiB", MOCK_VLLM_TIME_SCALE: "0" };
  const document = {
    port,
    metrics_port: metricsPort,
    vllm_command: "mock-vllm",
    nvidia_smi_command: "there-is-no-nvidia-smi",
    state_dir: join(folder, "state"),
    models: { tiny: { model_path: "org/tiny", extra_args: ["--gpu-memory-utilization", "0.8"], env } },
  };
  const config = parseConfig(JSON.stringify(document), "app.yaml", process.env);
  const { clock, ...more } = options;
  const usual = systemPlatform();
  const platform = clock === undefined ? usual : { ...usual, clock };
  const log = new RecordingLog();
  const app = createApp(config, { platform, log, version: "0", processMetrics: false, ...more });
  t.after(() => app.kill());
  const ask = (): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tiny", prompt: "hello", max_tokens: 2 }),
    });
  return { app, ask, log, platform, port, stateDir: config.stateDir };
}

test("after a kill nobody is left, nobody can ask, and nothing is started", async (t) => {
  const { app, ask, platform, stateDir } = await appIn(t);
  await app.start();
  assert.equal((await ask()).status, 200);
  const pid = app.status().models[0]?.pid ?? 0;
  assert.equal(platform.processes.members(pid).length, 2);
  app.kill();
  await assert.rejects(ask());
  await until("nobody is left", () => platform.processes.members(pid).length === 0);
  await until("the operators' door is closed", () => !existsSync(join(stateDir, "llmux.sock")));
  assert.ok(!existsSync(join(stateDir, "llmux.lock")));
});

test("after a drain everything is closed, and a second drain or a kill does no harm", async (t) => {
  const { app, ask, stateDir } = await appIn(t);
  await app.start();
  assert.equal((await ask()).status, 200);
  await Promise.all([app.drain(), app.drain()]);
  await assert.rejects(ask());
  assert.ok(!existsSync(join(stateDir, "llmux.sock")));
  assert.ok(!existsSync(join(stateDir, "llmux.lock")));
  app.kill();
});

test("a kill during the start ends the start, and nobody listens afterwards", async (t) => {
  const { app, ask, stateDir } = await appIn(t);
  const started = app.start();
  app.kill();
  await assert.rejects(started, /killed/);
  await assert.rejects(ask());
  assert.ok(!existsSync(join(stateDir, "llmux.sock")));
  assert.ok(!existsSync(join(stateDir, "llmux.lock")));
});

test("a flood of what is no request has a few lines in the log, and all of it is counted", async (t) => {
  const metricsPort = await claimPort("127.0.0.1", 0);
  const { app, log, port } = await appIn(t, metricsPort);
  await app.start();
  const count = 60;
  const noRequest = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port }, () => socket.end("nonsense\r\n\r\n"));
      socket.on("error", () => {});
      socket.on("close", () => resolve());
      socket.resume();
    });
  const beganAtMs = performance.now();
  await Promise.all(Array.from({ length: count }, noRequest));
  const page = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  assert.match(page, new RegExp(`^llmux_requests_total\\{model="",status="400"\\} ${count}$`, "m"));
  await app.drain();
  const seconds = Math.ceil((performance.now() - beganAtMs) / 1_000);
  const lines = log.named("request refused").length;
  assert.ok(lines >= 10 && lines <= 10 * (seconds + 1), `${lines} lines in ${seconds} s`);
  const others = log.named("requests refused").map(({ fields }) => Number(fields["count"]));
  assert.equal(lines + others.reduce((sum, one) => sum + one, 0), count);
});

/** A clock that never comes to what is put off for a millisecond. */
const withoutLate: Clock = {
  ...systemClock,
  after: (delayMs, fire) => (delayMs === 1 ? { cancel() {} } : systemClock.after(delayMs, fire)),
};

test("whoever looks finds a request over whose answer is there, wherever he looks", async (t) => {
  const metricsPort = await claimPort("127.0.0.1", 0);
  const { app, ask } = await appIn(t, metricsPort, { clock: withoutLate });
  await app.start();
  const answered = async (): Promise<void> => {
    const response = await ask();
    assert.equal(response.status, 200);
    await response.text();
  };
  await answered();
  assert.equal(app.snapshot().models[0]?.inFlight, 0);
  await answered();
  assert.equal(app.status().models[0]?.in_flight, 0);
  await answered();
  const page = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  assert.match(page, /^llmux_requests_total\{model="tiny",status="200"\} 3$/m);
  assert.match(page, /^llmux_request_queue_wait_seconds_count\{model="tiny"\} 3$/m);
});

test("who hears the journal may look, and sees the scheduler in the middle of its event", async (t) => {
  const seen: number[] = [];
  const host = await appIn(t, 0, { clock: withoutLate, onJournal: () => seen.push(host.app.snapshot().models.length) });
  await host.app.start();
  for (let count = 0; count < 3; count += 1) await (await host.ask()).text();
  assert.equal(host.app.snapshot().models[0]?.inFlight, 0);
  assert.ok(seen.length > 3);
  assert.ok(seen.every((count) => count === 1));
});
