/** OpenAI's own client, with a key, through the real program to stand-in engines that take turns. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { APIConnectionTimeoutError, APIUserAbortError, type OpenAI } from "openai";
import { until } from "../support/until.ts";
import { openHouse } from "./support/house.ts";
import { chatBody, openaiOf, Tries } from "./support/official-clients.ts";

const house = openHouse({ models: { a: { aliases: ["gpt-4o-mini"] }, b: {}, slow: { mock: { itl_ms: 20 } } } });

const client = (): OpenAI => openaiOf(house().port);

async function textOf(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  return text;
}

/** Resolves when the engine works on nothing any more, and one more client has left it. */
async function assertLeft(model: string, goneBefore: number): Promise<void> {
  await until("the engine has stopped working on it", async () => {
    const { running, decoding, "client gone": gone } = await house().requestCounts(model);
    return running === 0 && decoding === 0 && gone === goneBefore + 1;
  });
}

test("a chat is the same whole, as a stream and under an alias, and models that take turns say different things", async () => {
  const said: string[] = [];
  for (const model of ["a", "b", "gpt-4o-mini"]) {
    const whole = await client().chat.completions.create(chatBody(model, 12));
    assert.equal(whole.model, model);
    assert.equal(whole.usage?.completion_tokens, 12);
    const stream = await client().chat.completions.create({ ...chatBody(model, 12), stream: true });
    const text = await textOf(stream);
    assert.notEqual(text, "");
    assert.equal(text, whole.choices[0]?.message.content);
    said.push(text);
  }
  assert.equal(said[0], said[2]);
  assert.notEqual(said[0], said[1]);
});

test("a stream that is asked for its usage carries it, and its helper puts the answer together", async () => {
  const body = { ...chatBody("a", 7), stream_options: { include_usage: true } };
  const chat = await client().chat.completions.stream(body).finalChatCompletion();
  assert.equal(chat.usage?.completion_tokens, 7);
  assert.equal(chat.choices[0]?.finish_reason, "length");
  const { messages: _, ...rest } = chatBody("a", 7);
  const completion = await client().completions.create({ ...rest, prompt: "Once upon a time" });
  assert.equal(completion.usage?.completion_tokens, 7);
});

test("embeddings come as numbers, which the client has asked for in base64, and the same in plain", async () => {
  const input = ["the sea in winter", "the capital of France"];
  const packed = await client().embeddings.create({ model: "a", input });
  const plain = await client().embeddings.create({ model: "a", input, encoding_format: "float" });
  assert.equal(packed.data.length, 2);
  for (const [at, { embedding }] of packed.data.entries()) {
    assert.equal(embedding.length, 64);
    for (const [dimension, value] of embedding.entries()) {
      assert.ok(Math.abs(value - (plain.data[at]?.embedding[dimension] ?? Number.NaN)) < 1e-6);
    }
  }
});

test("a response is made, found again by its id and streamed, event by event", async () => {
  const wish = { model: "a", input: "Hello!", temperature: 0, max_output_tokens: 5 };
  const made = await client().responses.create(wish);
  assert.notEqual(made.output_text, "");
  assert.equal((await client().responses.retrieve(made.id)).output_text, made.output_text);
  let text = "";
  const types = new Set<string>();
  for await (const event of await client().responses.create({ ...wish, stream: true })) {
    types.add(event.type);
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  assert.equal(text, made.output_text);
  assert.ok(types.has("response.created") && types.has("response.incomplete"), [...types].join());
});

test("a transcription is made of a file that the client sends as a form", async () => {
  const file = new File([new Uint8Array(200_000).fill(7)], "speech.wav");
  const { text } = await client().audio.transcriptions.create({ model: "a", file });
  assert.notEqual(text, "");
});

test("the models are listed and found one by one", async () => {
  const ids: string[] = [];
  for await (const { id } of client().models.list()) ids.push(id);
  assert.deepEqual(ids, ["a", "b", "slow"]);
  assert.equal((await client().models.retrieve("b")).object, "model");
});

test("the client's request id and llmux's headers are on the answer, and its key is not in the request to the engine", async () => {
  const tries = new Tries();
  const chat = client().chat.completions.create(chatBody("a"), { headers: { "x-request-id": "client-made-1" } });
  const { response, request_id: requestId } = await chat.withResponse();
  assert.equal(requestId, "client-made-1");
  assert.equal(response.headers.get("x-llmux-model"), "a");
  await openaiOf(house().port, {}, tries).models.list();
  assert.match(tries.all[0]?.headers.get("x-request-id") ?? "", /\S/);
  const { origin } = await house().engine("a");
  const seen = await (await fetch(`${origin}/mock/requests?last=1`)).text();
  assert.match(seen, /client-made-1/);
  assert.doesNotMatch(seen, /authorization|sk-llmux/i);
});

test("a stream that the client aborts ends at the engine too, and the next request is served", async () => {
  await client().chat.completions.create(chatBody("slow", 1));
  const { "client gone": gone = 0 } = await house().requestCounts("slow");
  const stream = await client().chat.completions.create({ ...chatBody("slow", 5_000), stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content !== "") stream.controller.abort();
  await assertLeft("slow", gone);
  assert.equal((await client().chat.completions.create(chatBody("slow", 1))).usage?.completion_tokens, 1);
});

test("a whole answer that the client no longer wants is an abort for it, and the engine stops", async () => {
  await client().chat.completions.create(chatBody("slow", 1));
  const { "client gone": gone = 0, received = 0 } = await house().requestCounts("slow");
  const leaving = new AbortController();
  const answer = client().chat.completions.create(chatBody("slow", 5_000), { signal: leaving.signal });
  const rejected = assert.rejects(Promise.resolve(answer), APIUserAbortError);
  await until("the engine has it", async () => ((await house().requestCounts("slow"))["received"] ?? 0) > received);
  leaving.abort();
  await rejected;
  await assertLeft("slow", gone);
});

test("a client whose time is up says so by its own error, and the engine stops", async () => {
  await client().chat.completions.create(chatBody("slow", 1));
  const { "client gone": gone = 0 } = await house().requestCounts("slow");
  const impatient = openaiOf(house().port, { timeoutMs: 500 });
  await assert.rejects(impatient.chat.completions.create(chatBody("slow", 5_000)), APIConnectionTimeoutError);
  await assertLeft("slow", gone);
});
