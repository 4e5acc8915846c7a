import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { APIError, InternalServerError, NotFoundError } from "openai";
import { createStage, until, type Stage } from "./testing/stage.ts";

/** The official client, as people use it; what it does on its own after an error is part of the test. */
function clientOf(stage: Stage, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: `http://127.0.0.1:${stage.port}/v1`, apiKey: "sk-of-the-client", maxRetries });
}

const QUESTION = { model: "alpha", messages: [{ role: "user" as const, content: "hi" }] };

function chunk(content: string): string {
  const document = { id: "1", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] };
  return `data: ${JSON.stringify(document)}\n\n`;
}

test("The OpenAI client reads a stream to its end", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.setHeader("content-type", "text/event-stream");
    response.end(`${chunk("Hello")}${chunk(" wörld")}data: [DONE]\n\n`);
  };
  let text = "";
  for await (const part of await clientOf(stage).chat.completions.create({ ...QUESTION, stream: true })) {
    text += part.choices[0]?.delta.content ?? "";
  }
  assert.equal(text, "Hello wörld");
  assert.equal(stage.engine("alpha").received[0]?.headers.authorization, undefined);
});

test("The OpenAI client throws when a stream breaks off, with our reason, after the text so far", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.setHeader("content-type", "text/event-stream");
    response.write(chunk("Hel"));
  };
  let text = "";
  const stream = await clientOf(stage).chat.completions.create({ ...QUESTION, stream: true });
  await assert.rejects(
    async () => {
      for await (const part of stream) {
        text += part.choices[0]?.delta.content ?? "";
        stage.crash("alpha", "it ran out of memory");
      }
    },
    (error) => error instanceof APIError && error.message.includes("it ran out of memory"),
  );
  assert.equal(text, "Hel");
});

test("The OpenAI client knows our errors by their class and code, and lists our models", async (context) => {
  const stage = await createStage(context);
  const client = clientOf(stage);
  await assert.rejects(client.chat.completions.create({ ...QUESTION, model: "gamma" }), (error) => {
    return error instanceof NotFoundError && error.code === "model_not_found" && error.param === "model";
  });
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ["alpha", "org/beta"]);
  assert.equal((await client.models.retrieve("org/beta")).owned_by, "llmux");
});

test("The OpenAI client does not repeat a request that has killed its engine twice", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = () => stage.crash("alpha");
  await assert.rejects(clientOf(stage, 2).chat.completions.create(QUESTION), (error) => {
    return error instanceof InternalServerError && error.status === 502;
  });
  assert.equal(stage.engine("alpha").received.length, 2);
  assert.equal(stage.access.length, 1);
});

test("The OpenAI client that is aborted frees the engine", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.setHeader("content-type", "text/event-stream");
    response.write(chunk("Hel"));
  };
  const stream = await clientOf(stage).chat.completions.create({ ...QUESTION, stream: true });
  for await (const part of stream) {
    assert.equal(part.choices[0]?.delta.content, "Hel");
    stream.controller.abort();
  }
  await until(() => stage.engine("alpha").openResponses.length === 0, "the engine sees the end");
  await until(() => stage.access.length === 1, "the record");
  assert.equal(stage.access[0]?.outcome, "abandoned");
});
