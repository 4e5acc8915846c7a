/** The official clients and an engine that calls tools, is full for a moment, and breaks connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { APIError as AnthropicError, type Anthropic } from "@anthropic-ai/sdk";
import { APIError, type OpenAI } from "openai";
import { openHouse } from "./support/house.ts";
import { anthropicOf, openaiOf, Tries, type ClientWish } from "./support/official-clients.ts";
import { ARGUMENTS } from "./support/scripted-replies.ts";

const ENGINE = fileURLToPath(new URL("./support/scripted-engine.ts", import.meta.url));

/** The engine names 300 ms, and more exactly than in whole seconds; timers may be a little early. */
const PAUSE_MIN_MS = 290;

const house = openHouse({ models: { a: {} }, top: { vllm_command: [process.execPath, ENGINE] } });

const openai = (wish: ClientWish = {}, tries?: Tries): OpenAI => openaiOf(house().port, wish, tries);
const anthropic = (wish: ClientWish = {}, tries?: Tries): Anthropic => anthropicOf(house().port, wish, tries);

const PARAMETERS = { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] };

function chatThatSays(order: string) {
  return { model: "a", messages: [{ role: "user" as const, content: order }] };
}

function messageThatSays(order: string) {
  return { model: "a", max_tokens: 64, messages: [{ role: "user" as const, content: order }] };
}

test("OpenAI's client is asked to call a tool, whole and as a stream, and brings its answer back", async () => {
  const tools = [{ type: "function" as const, function: { name: "weather", parameters: PARAMETERS } }];
  const body = { ...chatThatSays("call a tool"), tools, tool_choice: "auto" as const };
  const whole = await openai().chat.completions.create(body);
  const streamed = await openai().chat.completions.stream(body).finalChatCompletion();
  for (const { choices } of [whole, streamed]) {
    const [choice] = choices;
    assert.equal(choice?.finish_reason, "tool_calls");
    const call = choice.message.tool_calls?.[0];
    assert.ok(call?.type === "function");
    assert.equal(call.function.name, "weather");
    assert.deepEqual(JSON.parse(call.function.arguments), ARGUMENTS);
  }
  const message = whole.choices[0]?.message;
  assert.ok(message !== undefined);
  const answered = await openai().chat.completions.create({
    ...body,
    messages: [...body.messages, message, { role: "tool", tool_call_id: "call_1", content: "3 °C" }],
  });
  assert.equal(answered.choices[0]?.message.content, 'it said "3 °C"');
});

test("the tool runner of OpenAI's client goes through the whole conversation", async () => {
  const asked: unknown[] = [];
  const tool = {
    type: "function" as const,
    function: {
      name: "weather",
      description: "How cold it is.",
      parameters: PARAMETERS,
      parse: JSON.parse,
      function: (input: unknown) => {
        asked.push(input);
        return "3 °C";
      },
    },
  };
  const runner = openai().chat.completions.runTools({ ...chatThatSays("call a tool"), tools: [tool], stream: true });
  assert.equal(await runner.finalContent(), 'it said "3 °C"');
  assert.deepEqual(asked, [ARGUMENTS]);
});

test("Anthropic's client is asked to call a tool, whole and as a stream, and brings its answer back", async () => {
  const body = { ...messageThatSays("call a tool"), tools: [{ name: "weather", input_schema: PARAMETERS }] };
  const whole = await anthropic().messages.create(body);
  const streamed = await anthropic().messages.stream(body).finalMessage();
  for (const { content, stop_reason: reason } of [whole, streamed]) {
    assert.equal(reason, "tool_use");
    const [block] = content;
    assert.ok(block?.type === "tool_use");
    assert.equal(block.name, "weather");
    assert.deepEqual(block.input, ARGUMENTS);
  }
  const result = { type: "tool_result" as const, tool_use_id: "toolu_1", content: "3 °C" };
  const messages = [
    ...body.messages,
    { role: "assistant" as const, content: whole.content },
    { role: "user" as const, content: [result] },
  ];
  const [block] = (await anthropic().messages.create({ ...body, messages })).content;
  assert.ok(block?.type === "text");
  assert.match(block.text, /3 °C/);
});

for (const status of [429, 503]) {
  test(`both clients wait as long as an engine's ${status} says, and are answered at the second try`, async () => {
    const tries = new Tries();
    const chat = await openai({ maxRetries: 2 }, tries).chat.completions.create(
      chatThatSays(`refuse ${status} openai-${status}`),
    );
    assert.equal(chat.choices[0]?.message.content, "try 2");
    const others = new Tries();
    const { content } = await anthropic({ maxRetries: 2 }, others).messages.create(
      messageThatSays(`refuse ${status} anthropic-${status}`),
    );
    assert.deepEqual(content, [{ type: "text", text: "try 2" }]);
    for (const seen of [tries, others]) {
      assert.deepEqual(seen.statuses, [status, 200]);
      assert.ok(seen.pauseMs >= PAUSE_MIN_MS, `tried again after ${seen.pauseMs} ms`);
      assert.equal(seen.all[0]?.headers.get("retry-after"), "1");
    }
  });
}

test("a refusal of the engine reaches a client that does not try again word for word", async () => {
  await assert.rejects(openai().chat.completions.create(chatThatSays("refuse 429 once")), (error) => {
    assert.ok(error instanceof APIError);
    assert.deepEqual(error.error, { message: "the engine is full", type: "engine_full", param: null, code: 7 });
    return true;
  });
});

for (const stream of [false, true]) {
  const what = stream ? "a stream" : "an answer";
  test(`a connection that breaks before the first byte of ${what} is no client's business: llmux asks again`, async () => {
    const tries = new Tries();
    const name = stream ? "stream" : "whole";
    const chat = chatThatSays(`hang up openai-${name}`);
    const said = stream
      ? await openai({}, tries).chat.completions.stream(chat).finalContent()
      : (await openai({}, tries).chat.completions.create(chat)).choices[0]?.message.content;
    const message = messageThatSays(`hang up anthropic-${name}`);
    const { content } = stream
      ? await anthropic({}, tries).messages.stream(message).finalMessage()
      : await anthropic({}, tries).messages.create(message);
    assert.equal(said, "try 2");
    assert.deepEqual(content, [{ type: "text", text: "try 2" }]);
    assert.deepEqual(tries.statuses, [200, 200]);
  });
}

test("a stream that breaks off is an error for both clients, after what had come, and never looks complete", async () => {
  let text = "";
  const stream = await openai().chat.completions.create({ ...chatThatSays("break off openai"), stream: true });
  await assert.rejects(async () => {
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  }, APIError);
  assert.equal(text, "try ");
  const types: string[] = [];
  const events = await anthropic().messages.create({ ...messageThatSays("break off anthropic"), stream: true });
  await assert.rejects(async () => {
    for await (const { type } of events) types.push(type);
  }, AnthropicError);
  assert.deepEqual(types, ["message_start", "content_block_start", "content_block_delta", "content_block_delta"]);
});
