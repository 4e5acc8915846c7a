/** Anthropic's own client, with a key, through the real program to stand-in engines that take turns. */
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic, { APIConnectionTimeoutError, APIUserAbortError } from "@anthropic-ai/sdk";
import { until } from "../support/until.ts";
import { openHouse } from "./support/house.ts";
import { anthropicOf, KEY, messageBody } from "./support/official-clients.ts";

const house = openHouse({ models: { a: { aliases: ["claude"] }, b: {}, slow: { mock: { itl_ms: 20 } } } });

const client = (): Anthropic => anthropicOf(house().port);

const DETERMINED = { temperature: 0, seed: 42 };

function textOf({ content }: Anthropic.Message): string {
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

test("a message is the same whole, as a stream and under an alias, and models that take turns say different things", async () => {
  const said: string[] = [];
  for (const model of ["a", "b", "claude"]) {
    const body = { ...messageBody(model, 12), ...DETERMINED };
    const whole = await client().messages.create(body);
    assert.equal(whole.model, model);
    assert.equal(whole.stop_reason, "max_tokens");
    assert.equal(whole.usage.output_tokens, 12);
    const streamed = await client().messages.stream(body).finalMessage();
    assert.equal(textOf(streamed), textOf(whole));
    assert.equal(streamed.usage.output_tokens, 12);
    said.push(textOf(whole));
  }
  assert.equal(said[0], said[2]);
  assert.notEqual(said[0], said[1]);
});

test("the events of a stream come by their names and in order", async () => {
  const types: string[] = [];
  for await (const { type } of await client().messages.create({ ...messageBody("a", 2), stream: true }))
    types.push(type);
  assert.deepEqual(types, [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
  ]);
});

test("the tokens of a message are counted, with its system prompt, and no answer is made", async () => {
  const { max_tokens: _, ...body } = messageBody("a");
  const bare = await client().messages.countTokens(body);
  const more = await client().messages.countTokens({ ...body, system: "You are a helpful assistant." });
  assert.ok(bare.input_tokens > 0);
  assert.ok(more.input_tokens > bare.input_tokens);
  const whole = await client().messages.create(messageBody("a"));
  assert.equal(whole.usage.input_tokens, bare.input_tokens);
});

test("a key is taken as a bearer token too, and reaches no engine in either form", async () => {
  const bearer = new Anthropic({ baseURL: `http://127.0.0.1:${house().port}`, apiKey: null, authToken: KEY });
  for (const one of [bearer, client()]) {
    const { response } = await one.messages.create(messageBody("a")).withResponse();
    assert.equal(response.headers.get("x-llmux-model"), "a");
  }
  const { origin } = await house().engine("a");
  const seen = await (await fetch(`${origin}/mock/requests?last=100`)).text();
  assert.match(seen, /anthropic-version/);
  assert.doesNotMatch(seen, /authorization|x-api-key|sk-llmux/i);
});

test("the models that Anthropic's client lists are llmux's", async () => {
  const ids: string[] = [];
  for await (const { id } of client().models.list()) ids.push(id);
  assert.deepEqual(ids, ["a", "b", "slow"]);
});

for (const stream of [true, false]) {
  const what = stream ? "a stream" : "an answer";
  test(`${what} that the client aborts ends at the engine too, and the next request is served`, async () => {
    await client().messages.create(messageBody("slow", 1));
    const { "client gone": gone = 0, received = 0 } = await house().requestCounts("slow");
    const leaving = new AbortController();
    const body = messageBody("slow", 5_000);
    const answer = stream
      ? client().messages.stream(body, { signal: leaving.signal }).finalMessage()
      : client().messages.create(body, { signal: leaving.signal });
    const rejected = assert.rejects(Promise.resolve(answer), APIUserAbortError);
    await until("the engine has it", async () => ((await house().requestCounts("slow"))["received"] ?? 0) > received);
    leaving.abort();
    await rejected;
    await until("the engine has stopped working on it", async () => {
      const counts = await house().requestCounts("slow");
      return counts["running"] === 0 && counts["decoding"] === 0 && counts["client gone"] === gone + 1;
    });
    assert.equal((await client().messages.create(messageBody("slow", 1))).usage.output_tokens, 1);
  });
}

test("a client whose time is up says so by its own error, and the engine stops", async () => {
  await client().messages.create(messageBody("slow", 1));
  const { "client gone": gone = 0 } = await house().requestCounts("slow");
  const impatient = anthropicOf(house().port, { timeoutMs: 500 });
  await assert.rejects(impatient.messages.create(messageBody("slow", 5_000)), APIConnectionTimeoutError);
  await until("the engine has stopped working on it", async () => {
    const counts = await house().requestCounts("slow");
    return counts["running"] === 0 && counts["client gone"] === gone + 1;
  });
});
