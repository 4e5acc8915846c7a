/** The real llmux over a real llama-server: two models take turns at one pretend GPU, with a small model that really answers. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { controlSocketPath } from "../../src/base/state-files.ts";
import { fetchStatus } from "../../src/control/control-client.ts";
import type { ModelStatus } from "../../src/control/status.ts";
import { freePort } from "../e2e/support/free-port.ts";
import { isWell } from "../support/is-well.ts";
import { until } from "../support/until.ts";

const LLMUX = fileURLToPath(new URL("../../bin/llmux.js", import.meta.url));
const SERVER = process.env["LLMUX_LLAMA_SERVER"] ?? "";
const MODEL = process.env["LLMUX_LLAMA_MODEL"] ?? "";

/** A start takes seconds, on a busy machine many. */
const LIMIT_MS = 180_000;

const folder = mkdtempSync(join(process.env["LLMUX_ENGINES_RUN"] ?? tmpdir(), "llama-"));
const stateDir = join(folder, "state");
const port = await freePort();
const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "none", maxRetries: 0, timeout: LIMIT_MS });

let llmux: ChildProcess | null = null;

before(async () => {
  assert.ok(SERVER !== "" && MODEL !== "", "run test/engines/run.sh");
  mkdirSync(stateDir, { recursive: true });
  await serve();
});

after(async () => {
  await end("SIGTERM");
});

async function serve(): Promise<void> {
  const model = {
    engine: "llama-server",
    model_path: MODEL,
    gpus: [0],
    env: { CUDA_VISIBLE_DEVICES: "" },
  };
  // The model was not taught to chat, but goes on with what it reads.
  const template = "{% for m in messages %}{{ m.content }}{% endfor %}";
  const small = ["--ctx-size", 512, "--threads", 2, "--device", "none", "--chat-template", template];
  const config = {
    port,
    metrics_port: 0,
    llama_server_command: [SERVER],
    nvidia_smi_command: "there-is-no-nvidia-smi",
    state_dir: stateDir,
    policy: { policy_type: "fifo", request_timeout_secs: 180, min_active_secs: 0 },
    models: {
      one: { ...model, aliases: ["uno"], extra_args: [...small, "--parallel", 2] },
      two: { ...model, extra_args: [...small, "-np", 1] },
      wrong: { ...model, model_path: join(folder, "missing.gguf") },
    },
  };
  const path = join(folder, "llmux.json");
  writeFileSync(path, JSON.stringify(config));
  llmux = spawn(process.execPath, [LLMUX, "serve", "--config", path], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await until("it listens", () => isWell(`http://127.0.0.1:${port}/health`), LIMIT_MS);
}

async function end(signal: NodeJS.Signals): Promise<void> {
  if (llmux === null || llmux.exitCode !== null || llmux.signalCode !== null) return;
  const child = llmux;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await exited;
}

async function status(name: string): Promise<ModelStatus> {
  const { models } = await fetchStatus(controlSocketPath(stateDir));
  const found = models.find(({ id }) => id === name);
  assert.ok(found !== undefined);
  return found;
}

async function say(model: string, text = "Monday, Tuesday, Wednesday,"): Promise<string> {
  const answer = await client.chat.completions.create({
    model,
    messages: [{ role: "user", content: text }],
    max_tokens: 16,
    temperature: 0,
    seed: 1,
  });
  return answer.choices[0]?.message.content ?? "";
}

async function post(
  path: string,
  body: object,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function pidOf(name: string): Promise<number> {
  const { pid } = await status(name);
  assert.ok(pid !== null);
  return pid;
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("two models take turns, and each answers with sense", { timeout: LIMIT_MS }, async () => {
  assert.match(await say("one"), /Thursday, Friday/);
  const first = await pidOf("one");
  assert.match(await say("two"), /Thursday, Friday/);
  assert.ok(!isAlive(first), "both hold the GPU");
  assert.equal((await status("one")).state, "stopped");
  assert.match(await say("uno"), /Thursday, Friday/);
  assert.equal((await status("two")).state, "stopped");
});

test("requests for both at once are all answered", { timeout: LIMIT_MS }, async () => {
  const answers = await Promise.all(["one", "two", "one", "two", "one"].map((model) => say(model)));
  for (const answer of answers) assert.match(answer, /Thursday, Friday/);
});

test("a stream comes in pieces that are the whole answer", { timeout: LIMIT_MS }, async () => {
  const stream = await client.chat.completions.create({
    model: "one",
    messages: [{ role: "user", content: "one two three four five" }],
    max_tokens: 48,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
  const pieces: string[] = [];
  let finish: string | null = null;
  let tokens = 0;
  for await (const chunk of stream) {
    const [choice] = chunk.choices;
    if (choice?.delta.content) pieces.push(choice.delta.content);
    finish = choice?.finish_reason ?? finish;
    tokens = chunk.usage?.completion_tokens ?? tokens;
  }
  assert.ok(pieces.length > 5, pieces.join("|"));
  assert.match(pieces.join("").toLowerCase(), /six seven eight/);
  assert.ok(finish !== null && tokens > 5);
});

test(
  "its own routes are passed on: /completion, /infill, /tokenize and /detokenize",
  { timeout: LIMIT_MS },
  async () => {
    const completion = await post("/completion", {
      model: "one",
      prompt: "Monday, Tuesday, Wednesday,",
      n_predict: 8,
      temperature: 0,
    });
    assert.equal(completion.status, 200);
    assert.match(String(completion.body["content"]), /Thursday, Friday/);
    const tokens = await post("/tokenize", { model: "one", content: "hello world" });
    assert.equal(tokens.status, 200);
    const numbers = tokens.body["tokens"];
    assert.ok(Array.isArray(numbers) && numbers.length >= 2);
    const text = await post("/detokenize", { model: "one", tokens: numbers });
    assert.equal(text.body["content"], "hello world");
    // This model has no tokens for it, and it is llama-server that says so.
    const infill = await post("/infill", {
      model: "one",
      input_prefix: "def f(x):\n",
      input_suffix: "\n",
      n_predict: 4,
    });
    assert.equal(infill.status, 501);
    assert.match(JSON.stringify(infill.body), /Infill is not supported by this model/);
  },
);

test("an engine that is killed is started anew, and the next request is answered", { timeout: LIMIT_MS }, async () => {
  await say("one");
  const pid = await pidOf("one");
  process.kill(pid, "SIGKILL");
  assert.match(await say("one"), /Thursday, Friday/);
  assert.notEqual(await pidOf("one"), pid);
});

test("one that cannot load its model says why", { timeout: LIMIT_MS }, async () => {
  const { status: code, body } = await post("/v1/completions", { model: "wrong", prompt: "x" });
  assert.ok(code >= 500, String(code));
  assert.match(JSON.stringify(body), /missing\.gguf/);
});

test("after a kill -9 of llmux the next one ends what the last has left", { timeout: LIMIT_MS }, async () => {
  await say("one");
  const pid = await pidOf("one");
  await end("SIGKILL");
  assert.ok(isAlive(pid), "it died with llmux");
  await serve();
  assert.ok(!isAlive(pid));
  assert.match(await say("two"), /Thursday, Friday/);
});

test("at the end nobody is left", { timeout: LIMIT_MS }, async () => {
  const pid = await pidOf("two");
  await end("SIGTERM");
  assert.ok(!isAlive(pid));
});
