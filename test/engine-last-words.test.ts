/** An engine that answers 500 because it is about to end, whatever it is asked for its health. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createApp } from "../src/app.ts";
import { parseConfig } from "../src/config/load.ts";
import { claimPort } from "../src/platform/loopback-port.ts";
import { systemPlatform } from "../src/platform/platform.ts";
import { RecordingLog } from "./support/recording-log.ts";

const FAKE = [process.execPath, fileURLToPath(new URL("support/fake-engine.ts", import.meta.url))];
const ASKED = "const answer = await fetch('http://127.0.0.1:${PORT}/ready'); process.exit(answer.ok ? 0 : 1)";

for (const [what, health] of [
  ["a path of its own", "/ready"],
  ["a command", [process.execPath, "--input-type=module", "-e", ASKED]],
] as const) {
  test(`the 500 of an engine that ${what} says to be unwell is no answer: its next life serves the request`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "llmux-last-words-"));
    t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
    const port = await claimPort("127.0.0.1", 0);
    const start = [...FAKE, "${PORT}", "--health=/ready", `--fall-ill=${join(folder, "ill")}`];
    const document = {
      port,
      metrics_port: 0,
      nvidia_smi_command: "there-is-no-nvidia-smi",
      state_dir: join(folder, "state"),
      models: { tiny: { engine: { command: { start, health } }, gpus: [] } },
    };
    const config = parseConfig(JSON.stringify(document), "app.yaml", process.env);
    const app = createApp(config, { platform: systemPlatform(), log: new RecordingLog(), version: "0" });
    t.after(() => app.drain());
    await app.start();
    const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tiny", messages: [] }),
    });
    assert.equal(response.status, 200, await response.text());
  });
}
