/** Requests that stand still while their engine sleeps: on a stand-in, through the pool that requests take. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { request } from "undici";
import type { Orchestrator } from "../src/orchestrator/orchestrator.ts";
import { askEngine, EngineGround, engineSpec } from "./support/engine-ground.ts";
import { until } from "./support/until.ts";

const TOKENS = 200;

/** A stream as it comes in. */
class Stream {
  readonly ended: Promise<void>;
  pieces = 0;
  text = "";
  finish: string | null = null;
  isDone = false;

  constructor(orchestrator: Orchestrator) {
    this.ended = this.#read(orchestrator);
    this.ended.catch(() => {});
  }

  async #read(orchestrator: Orchestrator): Promise<void> {
    const connection = orchestrator.connection("tiny");
    assert.ok(connection !== null);
    const { statusCode, body } = await request(`${connection.origin}/v1/chat/completions`, {
      dispatcher: connection.dispatcher,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: "tiny",
        messages: [{ role: "user", content: "Count." }],
        temperature: 0,
        seed: 42,
        max_tokens: TOKENS,
        ignore_eos: true,
        stream: true,
      }),
    });
    assert.equal(statusCode, 200);
    let rest = "";
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const events = (rest + chunk.toString()).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) this.#take(event.slice("data: ".length));
    }
  }

  #take(data: string): void {
    if (data === "[DONE]") {
      this.isDone = true;
      return;
    }
    const { choices } = JSON.parse(data) as {
      choices: [{ delta: { content?: string }; finish_reason: string | null }];
    };
    const [{ delta, finish_reason: finish }] = choices;
    this.finish = finish ?? this.finish;
    if (delta.content === undefined || delta.content === "") return;
    this.pieces += 1;
    this.text += delta.content;
  }
}

async function running(orchestrator: Orchestrator): Promise<number> {
  const origin = orchestrator.connection("tiny")?.origin ?? "";
  return ((await (await fetch(`${origin}/mock/state`)).json()) as { running: number }).running;
}

for (const level of [1, 2] as const) {
  test(`streams stand still while their engine sleeps at level ${level}, and go on over the same connection with the same text`, async () => {
    await using ground = new EngineGround();
    const spec = engineSpec({ env: { MOCK_VLLM_ITL_MS: "5", MOCK_VLLM_TTFT_MS: "5" } });
    const engines = ground.orchestrate(spec);
    const { orchestrator, effects, next } = engines;
    await engines.start();
    const undisturbed = new Stream(orchestrator);
    await undisturbed.ended;
    const streams = [new Stream(orchestrator), new Stream(orchestrator)];
    await until("both are under way", () => streams.every(({ pieces }) => pieces >= 10));
    effects.sleep("tiny", level, "kept");
    assert.deepEqual(await next(), { kind: "asleep" });
    assert.equal(await running(orchestrator), 2);
    // What was on its way when the engine fell asleep has come when further questions have been answered.
    for (let at = 0; at < 5; at += 1) await running(orchestrator);
    const frozenAt = streams.map(({ pieces }) => pieces);
    for (let at = 0; at < 100; at += 1) await running(orchestrator);
    assert.deepEqual(
      streams.map(({ pieces }) => pieces),
      frozenAt,
    );
    assert.ok(frozenAt.every((pieces) => pieces < TOKENS));
    effects.wake("tiny", level);
    assert.deepEqual(await next(), { kind: "awake" });
    await Promise.all(streams.map(({ ended }) => ended));
    for (const { text, pieces, finish, isDone } of streams) {
      assert.deepEqual([text, pieces, finish, isDone], [undisturbed.text, TOKENS, "length", true]);
    }
    assert.notEqual(await askEngine(orchestrator), "");
  });
}

test("a client that leaves while its request stands still leaves nothing behind in the engine", async () => {
  await using ground = new EngineGround();
  const engines = ground.orchestrate(engineSpec({ env: { MOCK_VLLM_ITL_MS: "5" } }));
  const { orchestrator, effects, next } = engines;
  await engines.start();
  const leaving = new AbortController();
  const origin = orchestrator.connection("tiny")?.origin ?? "";
  const answer = fetch(`${origin}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", prompt: "hi", max_tokens: 10_000, ignore_eos: true }),
    signal: leaving.signal,
  });
  answer.catch(() => {});
  await until("it runs", async () => (await running(orchestrator)) === 1);
  effects.sleep("tiny", 1, "kept");
  assert.deepEqual(await next(), { kind: "asleep" });
  leaving.abort();
  await until("it is gone", async () => (await running(orchestrator)) === 0);
  effects.wake("tiny", 1);
  assert.deepEqual(await next(), { kind: "awake" });
});
