/**
 * llmux over a real vLLM: two tiny models share one pretend GPU. What a CPU cannot show, freed memory, is left out; all the
 * rest is as in production.
 *
 * Each start of an engine takes half a minute of two cores, so this is one story of ten starts (and one that is broken off),
 * told in parts that go on from where the last one ended.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { APIError } from "openai";
import { freePort } from "../e2e/support/free-port.ts";
import { until } from "../support/until.ts";
import { Client } from "./support/client.ts";
import { LlmuxRun, runLlmux, writeConfig } from "./support/llmux-run.ts";
import { Story } from "./support/story.ts";
import { TestGround } from "./support/test-ground.ts";

const A = "tiny-a";
const B = "tiny-b";

/** Tokens of an answer that takes some seconds. */
const LONG = 1_500;

/** Tokens of an answer that takes half a minute: something can surely be done to its engine meanwhile. */
const VERY_LONG = 15_000;

/** From SIGTERM to the end of llmux: vLLM's own end takes seconds, and one that hangs in its start is killed after 10 s. */
const END_LIMIT_MS = 60_000;

const ground = new TestGround();
const story = new Story(ground);
const port = await freePort();
const client = new Client(port);
/** What each model answers, from before its first sleep. */
const answers = new Map<string, string>();

after(() => ground.clear());

async function serve(levels: Readonly<Record<typeof A | typeof B, 1 | 2 | 3>>): Promise<void> {
  story.runs.push(await LlmuxRun.serve(ground, writeConfig(ground, { port, levels })));
}

/** Asks for the answer twice, whole and as a stream; it must be the same each time that it is asked for. */
async function ask(model: string): Promise<void> {
  const whole = await client.chat(model);
  assert.equal(await client.chatStream(model), whole, `${model} says something else in a stream`);
  const before = answers.get(model) ?? whole;
  assert.equal(whole, before, `${model} says something else than before`);
  answers.set(model, before);
}

async function states(): Promise<readonly string[]> {
  return [(await story.llmux.model(A)).state, (await story.llmux.model(B)).state];
}

/** Once the next engine has answered, or the end was told, nobody of the old one may be left. */
function assertGone(leader: number): void {
  assert.deepEqual(ground.members(leader), [], "something of the old engine is left");
}

/** Kills a process of a model's engine, or, by a negative pid, the whole group, and notes when llmux knew. */
async function kill(model: string, pid: number, what: string): Promise<void> {
  const { now } = story.llmux;
  const atMs = Date.now();
  process.kill(pid, "SIGKILL");
  const { time } = await story.llmux.until("engine crashed", { model }, now);
  story.note(`from the kill of ${what} to the news of it`, Date.parse(String(time)) - atMs);
}

// ── levels 1 and 2 ────────────────────────────────────────────────────────────────────────────────────────────────────

story.part("both models are listed, and nothing that is refused starts an engine", async () => {
  await serve({ [A]: 1, [B]: 2 });
  assert.deepEqual(await client.modelIds(), [A, B]);
  await assert.rejects(client.chat("tiny-c"), (error) => {
    assert.ok(error instanceof APIError);
    assert.equal(error.status, 404);
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /tiny-a.*tiny-b/);
    return true;
  });
  for (const path of ["/sleep?level=1", "/wake_up", "/collective_rpc", "/v1/../sleep"]) {
    assert.equal((await client.post(path, { model: A })).status, 404, path);
  }
  assert.deepEqual(await states(), ["stopped", "stopped"]);
});

story.part("the first request starts its engine, and progress is seen meanwhile", async () => {
  await ask(A);
  assert.deepEqual(await states(), ["awake", "stopped"]);
  const stages = new Set(story.llmux.all("engine progress", { model: A }).map(({ stage }) => stage));
  // An engine may be ready before its saying so is read.
  stages.delete("ready");
  assert.deepEqual([...stages], ["initializing", "loading weights", "reserving KV cache"]);
});

story.part("the other routes reach the engine as well", async () => {
  assert.equal(await client.completion(A), await client.completion(A));
  assert.notEqual(await client.response(A), "");
  const message = { model: A, max_tokens: 8, messages: [{ role: "user", content: "hello world" }] };
  const { status, body } = await client.post("/v1/messages", message);
  assert.equal(status, 200);
  assert.equal((body as { type: string }).type, "message");
  const tokens = await client.post("/tokenize", { model: A, prompt: "hello world" });
  assert.equal(tokens.status, 200);
  assert.ok((tokens.body as { count: number }).count > 0);
});

story.part("levels 1 and 2: A, B, A, B are each answered by the right model, the same after each sleep", async () => {
  await ask(B);
  await story.llmux.until("model asleep", { model: A, sleep_level: 1 });
  assert.notEqual(answers.get(A), answers.get(B), "the two models cannot be told apart");
  await ask(A);
  await story.llmux.until("model asleep", { model: B, sleep_level: 2 });
  await ask(B);
  await ask(A);
  assert.deepEqual(await states(), ["awake", "asleep"]);
  assert.equal(story.llmux.all("engine starting").length, 2, "a sleep cost an engine its life");
  assert.deepEqual(story.llmux.all("sleep failed"), []);
});

story.part(
  "a list of the models wakes none, and a route that an engine has and the gateway does not reaches none",
  async () => {
    assert.deepEqual(await client.modelIds(), [A, B]);
    assert.equal((await client.post("/wake_up", { model: B })).status, 404);
    assert.deepEqual(await states(), ["awake", "asleep"]);
  },
);

story.part("requests for both at once, long streams among them, all end whole", async () => {
  const before = story.llmux.now;
  const begun = Promise.withResolvers<void>();
  const long = client.chatStream(A, LONG, () => begun.resolve());
  await Promise.race([begun.promise, long]);
  await Promise.all([long, client.chat(B), client.chatStream(B, 200), client.chat(A, 200), client.chatStream(A, 200)]);
  assert.ok(story.llmux.all("model awake", {}, before).length >= 1, "nothing was switched");
  await ask(A);
  await ask(B);
  await ask(A);
});

// ── engines that die ──────────────────────────────────────────────────────────────────────────────────────────────────

story.part(
  "EngineCore is killed at work: streams end as errors, the next engine answers what had sent nothing",
  async () => {
    const leader = await story.llmux.engine(A);
    const { now } = story.llmux;
    let chunks = 0;
    const stream = client.chatStream(A, VERY_LONG, () => (chunks += 1));
    stream.catch(() => {});
    await until("the stream has begun", () => chunks > 0);
    // Held up by the engine itself, the plain requests are surely still without an answer when it dies.
    const origin = `http://127.0.0.1:${(await story.llmux.model(A)).port}`;
    await fetch(`${origin}/pause?mode=keep`, { method: "POST" });
    const plain = [client.chat(A), client.chat(A), client.chat(A)];
    const all = Promise.allSettled([...plain, stream]);
    const letIn = (): number => story.llmux.all("waiter let in", { model: A }, now).length;
    await until("the engine has the requests", () => letIn() === 1 + plain.length);
    await kill(A, ground.core(leader), "EngineCore at work");
    await all;
    await assert.rejects(stream, APIError);
    await Promise.all(plain);
    const afterWait = (): readonly object[] =>
      story.llmux.all("request served", { model: A }, now).filter(({ waited_ms }) => Number(waited_ms) > 0);
    await until("all plain requests are told to have waited for the next engine", () => afterWait().length === 3);
    assertGone(leader);
    await ask(A);
  },
);

story.part("only the API process is killed: its children are ended, and the next request is answered", async () => {
  const leader = await story.llmux.engine(A);
  assert.ok(ground.members(leader).length >= 3, "EngineCore and Worker were to outlive it");
  await kill(A, leader, "the API process");
  await ask(A);
  assertGone(leader);
});

story.part("a sleeping engine is killed, the whole group: the one that is awake serves on", async () => {
  const leader = await story.llmux.engine(B);
  const { now } = story.llmux;
  await kill(B, -leader, "a sleeping engine");
  await story.llmux.until("engine stopped", { model: B }, now);
  assertGone(leader);
  await ask(A);
  assert.deepEqual(story.llmux.all("engine starting", {}, now), []);
  await ask(B);
});

story.part("EngineCore of an idle engine is killed: a request that comes at once is answered", async () => {
  const leader = await story.llmux.engine(B);
  await Promise.all([kill(B, ground.core(leader), "EngineCore of an idle engine"), ask(B)]);
  assertGone(leader);
  assert.deepEqual(await states(), ["asleep", "awake"]);
});

// ── llmux dies, and level 3 ───────────────────────────────────────────────────────────────────────────────────────────

story.part("llmux is killed: its engines live on, the next run ends them before it listens", async () => {
  const leaders = [await story.llmux.engine(A), await story.llmux.engine(B)];
  assert.equal((await story.llmux.end("SIGKILL")).signal, "SIGKILL");
  for (const leader of leaders) assert.ok(ground.members(leader).length >= 3, "an engine fell with llmux");
  await serve({ [A]: 3, [B]: 1 });
  for (const leader of leaders) assertGone(leader);
  assert.equal(story.llmux.all("leftover engine ended").length, 2);
});

story.part("level 3: A, B, A: the engine is stopped and started, and answers the same", async () => {
  await ask(A);
  const leader = await story.llmux.engine(A);
  await ask(B);
  assertGone(leader);
  assert.deepEqual(await states(), ["stopped", "awake"]);
  await ask(A);
  assert.deepEqual(await states(), ["awake", "asleep"]);
});

story.part("SIGTERM with one engine awake and one asleep: exit code 0, and nobody is left", async () => {
  await assertEndsWell();
});

story.part("SIGTERM during a start: exit code 0, and nobody is left", async () => {
  await serve({ [A]: 1, [B]: 1 });
  const waiting = assert.rejects(client.chat(A), (error) => error instanceof APIError && error.status === 503);
  // vLLM does not end by itself at this point.
  await story.llmux.until("engine progress", { model: A, stage: "initializing" });
  await assertEndsWell();
  await waiting;
});

async function assertEndsWell(): Promise<void> {
  const { code, tookMs } = await story.llmux.end("SIGTERM");
  assert.deepEqual(ground.left(), [], "processes are left");
  assert.equal(code, 0);
  story.note("from SIGTERM to the end of llmux", tookMs);
  assert.ok(tookMs < END_LIMIT_MS, `it took ${tookMs} ms`);
  assert.deepEqual(readdirSync(join(ground.folder, "state", "engines")), [], "engine records are left");
  for (const run of story.runs) assert.deepEqual(run.all("bug"), [], "llmux has found a bug in itself");
}

// ── the other command ─────────────────────────────────────────────────────────────────────────────────────────────────

story.part("validate passes at levels 1 and 2, makes no figures up, and leaves nobody", async () => {
  const config = writeConfig(ground, { port, levels: { [A]: 1, [B]: 1 } });
  const { code, stdout, stderr } = await runLlmux(ground, ["validate", A, "--levels", "1,2", "--config", config]);
  const rows = stdout.split("\n").filter((line) => /^[12] /.test(line));
  assert.equal(rows.length, 2, stdout + stderr);
  for (const row of rows) assert.match(row, /^[12] +\d+\.\d+ +\d+\.\d+ +n\/a +n\/a +n\/a +yes +yes/, stdout);
  assert.equal(code, 0);
  assert.deepEqual(ground.left(), []);
});

story.end();
