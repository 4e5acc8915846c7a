/** What llmux refuses, and what goes wrong behind it, as the official clients tell it: by class, status and code. */
import assert from "node:assert/strict";
import * as anthropic from "@anthropic-ai/sdk";
import * as openai from "openai";
import { createKey } from "../../src/base/api-key.ts";
import { scenario } from "../e2e/support/scenario.ts";
import type { Setup, Stage } from "../e2e/support/stage.ts";
import { withKeys } from "./support/house.ts";
import {
  anthropicOf,
  chatBody,
  KEY_FOR_A,
  KEY_FOR_ONE,
  messageBody,
  openaiOf,
  Tries,
  type ClientWish,
} from "./support/official-clients.ts";

type ErrorClass<T> = new (...args: never[]) => T;

/** A refusal in the words of both clients. */
interface Expected {
  readonly status: number;
  readonly openai: ErrorClass<openai.APIError>;
  readonly code: string;
  readonly anthropic: ErrorClass<anthropic.APIError>;
  readonly type: string;
}

/** What is asked of both clients. */
interface Ask {
  readonly wish?: ClientWish;
  readonly model?: string;
  readonly prompt?: string;
  readonly tokens?: number;
}

/** Asks by both clients; both must be refused like this. */
async function refused(
  stage: Stage,
  expected: Expected,
  { wish, model = "a", prompt, tokens = 8 }: Ask,
): Promise<void> {
  const messages = prompt === undefined ? {} : { messages: [{ role: "user" as const, content: prompt }] };
  const chat = openaiOf(stage.port, wish).chat.completions.create({ ...chatBody(model, tokens), ...messages });
  await assert.rejects(Promise.resolve(chat), (error) => {
    assert.ok(error instanceof expected.openai, String(error));
    assert.equal(error.status, expected.status);
    assert.equal(error.code, expected.code);
    assert.notEqual(error.requestID ?? "", "");
    assertRetryAfter(error.status, error.headers);
    return true;
  });
  const message = anthropicOf(stage.port, wish).messages.create({ ...messageBody(model, tokens), ...messages });
  await assert.rejects(Promise.resolve(message), (error) => {
    assert.ok(error instanceof expected.anthropic, String(error));
    assert.equal(error.status, expected.status);
    assert.equal(error.type, expected.type);
    assert.notEqual(error.requestID ?? "", "");
    assertRetryAfter(error.status, error.headers);
    return true;
  });
}

function assertRetryAfter(status: number | undefined, headers: Headers | undefined): void {
  if (status === 429 || status === 503) assert.ok(Number(headers?.get("retry-after")) >= 1);
}

function story(name: string, setup: Setup, body: (stage: Stage) => Promise<void>): void {
  scenario(name, withKeys(setup), body);
}

story(
  "401, 403, 404 and 413 have classes of their own in both clients, and the next request is served",
  { top: { max_body_bytes: "64KiB" } },
  async (stage) => {
    const { BadRequestError, AuthenticationError, PermissionDeniedError, NotFoundError } = openai;
    await refused(
      stage,
      {
        status: 401,
        openai: AuthenticationError,
        code: "invalid_api_key",
        anthropic: anthropic.AuthenticationError,
        type: "authentication_error",
      },
      { wish: { apiKey: createKey() } },
    );
    await refused(
      stage,
      {
        status: 403,
        openai: PermissionDeniedError,
        code: "model_not_allowed",
        anthropic: anthropic.PermissionDeniedError,
        type: "permission_error",
      },
      { wish: { apiKey: KEY_FOR_A }, model: "b" },
    );
    await refused(
      stage,
      {
        status: 404,
        openai: NotFoundError,
        code: "model_not_found",
        anthropic: anthropic.NotFoundError,
        type: "not_found_error",
      },
      { model: "gpt-17" },
    );
    await refused(
      stage,
      {
        status: 413,
        openai: openai.APIError,
        code: "body_too_large",
        anthropic: anthropic.ContentTooLargeError,
        type: "request_too_large",
      },
      { prompt: "x".repeat(3_000_000) },
    );
    assert.deepEqual(stage.log.all("engine starting"), []);
    const missing = openaiOf(stage.port).chat.completions.create({ ...chatBody("a"), model: "" });
    await assert.rejects(Promise.resolve(missing), BadRequestError);
    const chat = await openaiOf(stage.port).chat.completions.create(chatBody("a"));
    assert.equal(chat.usage?.completion_tokens, 8);
    // The engine's own refusal, in its own words.
    const wrong = openaiOf(stage.port).chat.completions.create({ ...chatBody("a"), max_tokens: -1 });
    await assert.rejects(Promise.resolve(wrong), BadRequestError);
    const wrongToo = anthropicOf(stage.port).messages.create(messageBody("a", -1));
    await assert.rejects(Promise.resolve(wrongToo), anthropic.BadRequestError);
  },
);

story(
  "504 is what both clients are told when their turn does not come in time",
  { models: { a: { mock: { itl_ms: 20 } }, b: {} }, policy: { request_timeout_secs: 3 } },
  async (stage) => {
    // On a busy machine its own engine may need longer than that to start.
    const stream = await openaiOf(stage.port, { maxRetries: 5 }).chat.completions.create({
      ...chatBody("a", 5_000),
      stream: true,
    });
    await refused(
      stage,
      {
        status: 504,
        openai: openai.InternalServerError,
        code: "queue_timeout",
        anthropic: anthropic.GatewayTimeoutError,
        type: "timeout_error",
      },
      { model: "b" },
    );
    stream.controller.abort();
  },
);

story(
  "429 for a key that has its one request under way: both clients try again when llmux says, and are served",
  { models: { a: { mock: { itl_ms: 20 } } } },
  async (stage) => {
    const wish = { apiKey: KEY_FOR_ONE };
    for (const ask of [
      (tries: Tries) => openaiOf(stage.port, { ...wish, maxRetries: 2 }, tries).chat.completions.create(chatBody("a")),
      (tries: Tries) => anthropicOf(stage.port, { ...wish, maxRetries: 2 }, tries).messages.create(messageBody("a")),
    ]) {
      const stream = await openaiOf(stage.port, wish).chat.completions.create({
        ...chatBody("a", 5_000),
        stream: true,
      });
      await refused(
        stage,
        {
          status: 429,
          openai: openai.RateLimitError,
          code: "too_many_in_flight",
          anthropic: anthropic.RateLimitError,
          type: "rate_limit_error",
        },
        { wish },
      );
      const tries = new Tries(({ status }) => status === 429 && stream.controller.abort());
      await ask(tries);
      assert.deepEqual(tries.statuses, [429, 200]);
      const named = Number(tries.all[0]?.headers.get("retry-after")) * 1_000;
      assert.ok(tries.pauseMs >= named * 0.95, `tried again after ${tries.pauseMs} ms instead of ${named}`);
    }
  },
);

story(
  "503 for a model whose start has failed: a client that tries again when llmux says is served by the next start",
  { models: { a: {} } },
  async (stage) => {
    stage.order("a", { "exit-at-start": { times: 1, value: "no luck" } });
    const tries = new Tries();
    const chat = await openaiOf(stage.port, { maxRetries: 2 }, tries).chat.completions.create(chatBody("a"));
    assert.equal(chat.usage?.completion_tokens, 8);
    assert.deepEqual(tries.statuses, [503, 200]);
    const named = Number(tries.all[0]?.headers.get("retry-after")) * 1_000;
    assert.ok(named >= 1_000 && tries.pauseMs >= named * 0.95, `${tries.pauseMs} ms instead of ${named}`);
  },
);

story(
  "503 for a model that does not start is told by class and code, to streams and to whole answers",
  { models: { a: {} } },
  async (stage) => {
    stage.order("a", { "exit-at-start": true });
    await refused(
      stage,
      {
        status: 503,
        openai: openai.InternalServerError,
        code: "start_failed",
        anthropic: anthropic.ServiceUnavailableError,
        type: "api_error",
      },
      {},
    );
    const stream = openaiOf(stage.port).chat.completions.create({ ...chatBody("a"), stream: true });
    await assert.rejects(Promise.resolve(stream), openai.InternalServerError);
  },
);

/** An engine that has died twice in a row is left alone for a moment; llmux says how long. */
const PATIENT: ClientWish = { maxRetries: 2 };

story(
  "a request that has killed its engine twice is a 502 that the client does not send again by itself, and others are served",
  { models: { a: {} }, kills: true },
  async (stage) => {
    await openaiOf(stage.port).chat.completions.create(chatBody("a"));
    stage.order("a", { "crash-engine-on-request": { times: 2 } });
    const tries = new Tries();
    const chat = openaiOf(stage.port, PATIENT, tries).chat.completions.create(chatBody("a"));
    await assert.rejects(Promise.resolve(chat), (error) => error instanceof openai.InternalServerError);
    assert.deepEqual(tries.statuses, [502]);
    await stage.struck("a");
    const others = new Tries();
    const message = await anthropicOf(stage.port, PATIENT, others).messages.create(messageBody("a"));
    assert.equal(message.usage.output_tokens, 8);
    assert.deepEqual(others.statuses, [503, 200]);
  },
);

story(
  "a request whose engine dies under it once is answered by the next engine, and the client tries once",
  { models: { a: {} }, kills: true },
  async (stage) => {
    stage.order("a", { "crash-engine-on-request": { times: 1 } });
    const message = await anthropicOf(stage.port).messages.create(messageBody("a"));
    assert.equal(message.usage.output_tokens, 8);
    await stage.struck("a");
  },
);

for (const [fault, who] of [
  ["crash-engine-after-chunks", "EngineCore"],
  ["crash-api-after-chunks", "API server"],
] as const) {
  story(
    `an engine whose ${who} dies in the middle of a stream is an error for both clients, after what it had said`,
    { models: { a: {} }, kills: true },
    async (stage) => {
      await openaiOf(stage.port).chat.completions.create(chatBody("a"));
      stage.order("a", { [fault]: { times: 1, value: "3" } });
      let text = "";
      const stream = await openaiOf(stage.port).chat.completions.create({ ...chatBody("a", 100), stream: true });
      await assert.rejects(
        async () => {
          for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
        },
        (error) => error instanceof openai.APIError && error.message.length > 0,
      );
      assert.notEqual(text, "");
      await stage.struck("a");
      stage.order("a", { [fault]: { times: 1, value: "3" } });
      const types: string[] = [];
      const body = { ...messageBody("a", 100), stream: true as const };
      const events = await anthropicOf(stage.port, PATIENT).messages.create(body);
      await assert.rejects(async () => {
        for await (const { type } of events) types.push(type);
      }, anthropic.APIError);
      assert.ok(types.includes("content_block_delta") && !types.includes("message_stop"), types.join());
      await stage.struck("a");
      const chat = await openaiOf(stage.port, PATIENT).chat.completions.create(chatBody("a"));
      assert.equal(chat.usage?.completion_tokens, 8);
    },
  );
}
