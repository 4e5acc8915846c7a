/**
 * llmux inside another program: two models on the stand-in engine, one question to each, and an orderly end.
 * Run it with `node examples/embedded.ts`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp, parseConfig, silentLog, systemPlatform, VERSION } from "../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "llmux-embedded-"));
const model = (path: string): string => `
    model_path: ${path}
    extra_args: [--gpu-memory-utilization, 0.8]
    env: { MOCK_VLLM_GPUS: "0:8GiB", MOCK_VLLM_LEDGER: "${folder}/gpu", MOCK_VLLM_LOAD_MS: 0 }`;

const config = parseConfig(
  `
port: ${process.env["PORT"] ?? 3100}
metrics_port: 0
vllm_command: mock-vllm
nvidia_smi_command: [mock-vllm, nvidia-smi]
state_dir: ${folder}
policy: { policy_type: fifo, min_active_secs: 0 }
models:
  alpha: ${model("example/alpha-0.5b")}
  beta: ${model("example/beta-0.5b")}
`,
  "embedded.yaml",
  process.env,
);

const app = createApp(config, {
  platform: systemPlatform(),
  log: silentLog,
  version: VERSION,
  // Everything that happens is told here: the same stream that log and metrics are made from.
  onJournal(entry) {
    if (entry.kind === "switch ended") console.log(`${entry.to} is awake after ${Math.round(entry.durationMs)} ms`);
  },
});

const { gateway } = await app.start();
for (const name of ["alpha", "beta", "alpha"]) {
  const response = await fetch(`http://127.0.0.1:${gateway.port}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: name, messages: [{ role: "user", content: "Hello!" }], max_tokens: 8 }),
  });
  const answer = (await response.json()) as { choices: [{ message: { content: string } }] };
  console.log(answer.choices[0].message.content);
}
console.log(`state: ${app.status().summary}`);
await app.drain();
rmSync(folder, { recursive: true });
