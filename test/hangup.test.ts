/** SIGHUP says that a terminal is gone; it is nothing to a llmux that has none, as under nohup or a service manager. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { claimPort } from "../src/platform/loopback-port.ts";

const LLMUX = fileURLToPath(new URL("../bin/llmux.js", import.meta.url));

test("llmux without a terminal goes on after SIGHUP, and ends at SIGTERM", async () => {
  const folder = mkdtempSync(join(tmpdir(), "llmux-hangup-"));
  const port = await claimPort("127.0.0.1", 0);
  const config = join(folder, "llmux.yaml");
  writeFileSync(config, `{port: ${port}, metrics_port: 0, state_dir: ${folder}/state, models: {a: {model_path: x}}}`);
  const child = spawn(process.execPath, [LLMUX, "serve", "--config", config], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 30_000,
  });
  const exited = once(child, "exit");
  const lines = createInterface(child.stderr)[Symbol.asyncIterator]();
  const events: string[] = [];
  while (!events.includes("listening")) {
    const line = await lines.next();
    assert.notEqual(line.done, true, "it ended before it listened");
    events.push((JSON.parse(line.value as string) as { event: string }).event);
  }
  child.kill("SIGHUP");
  assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  for await (const line of { [Symbol.asyncIterator]: () => lines }) assert.ok(!line.includes("SIGHUP"), line);
  rmSync(folder, { recursive: true });
});
