import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { UsageTail } from "./usage-tail.ts";

function countsOf(isStream: boolean, ...chunks: string[]): unknown {
  const tail = new UsageTail(isStream);
  for (const chunk of chunks) tail.push(Buffer.from(chunk));
  return tail.counts();
}

const ANSWER =
  '{"id":"x","choices":[{"message":{"content":"say \\"usage\\":{\\"prompt_tokens\\":7}"}}],' +
  '"usage":{"prompt_tokens":12,"total_tokens":20,"completion_tokens":8,"prompt_tokens_details":null},"prompt_logprobs":null}';

test("The counts are those of the answer's `usage`, whatever its text says", () => {
  assert.deepEqual(countsOf(false, ANSWER), { promptTokens: 12, outputTokens: 8 });
  assert.deepEqual(countsOf(false, "x".repeat(100_000), ANSWER), { promptTokens: 12, outputTokens: 8 });
  const anthropic = '{"type":"message","usage":{ "input_tokens" : 3, "output_tokens": 4}}';
  assert.deepEqual(countsOf(false, anthropic), { promptTokens: 3, outputTokens: 4 });
});

test("An answer without `usage`, or with one that is out of reach, has no counts", () => {
  assert.deepEqual(countsOf(false), { promptTokens: null, outputTokens: null });
  assert.deepEqual(countsOf(false, '{"data":[]}'), { promptTokens: null, outputTokens: null });
  assert.deepEqual(countsOf(false, '{"usage":null}'), { promptTokens: null, outputTokens: null });
  assert.deepEqual(countsOf(false, `${ANSWER}${" ".repeat(10_000)}`), { promptTokens: null, outputTokens: null });
});

test("A stream's counts come from its last `usage`, or else from the number of its events", () => {
  const events = Array.from({ length: 5 }, () => 'data: {"choices":[],"usage":null}\n\n');
  assert.deepEqual(countsOf(true, ...events, "data: [DONE]\n\n"), { promptTokens: null, outputTokens: 6 });
  const last = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":5}}\n\n';
  assert.deepEqual(countsOf(true, ...events, last, "data: [DONE]\n\n"), { promptTokens: 1, outputTokens: 5 });
  assert.deepEqual(countsOf(true, "data: 1\r\n\r\ndata: 2\r\n\r\n"), { promptTokens: null, outputTokens: 2 });
  assert.deepEqual(countsOf(true, "data: 1\n\n\n: one blank line too many\n\n"), {
    promptTokens: null,
    outputTokens: 2,
  });
});

test("A `usage` that is cut anywhere in two is found", () => {
  fc.assert(
    fc.property(fc.nat({ max: ANSWER.length }), (at) => {
      assert.deepEqual(countsOf(false, ANSWER.slice(0, at), ANSWER.slice(at)), { promptTokens: 12, outputTokens: 8 });
    }),
  );
});

/** As a chunked answer brings them. */
function frames(...chunks: string[]): Buffer {
  return Buffer.concat(
    chunks
      .filter((chunk) => chunk !== "")
      .flatMap((chunk) => {
        const data = Buffer.from(chunk);
        return [Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")];
      }),
  );
}

test("With or without the framing of their chunks, answers have the same counts", () => {
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":5}}\n\n';
  fc.assert(
    fc.property(fc.nat({ max: usage.length }), fc.nat({ max: 3 }), fc.boolean(), (at, events, saysUsage) => {
      const before = Array.from({ length: events }, (_, index) => `data: {"choices":[${index}]}\r\n\r\n`);
      const last = saysUsage ? [usage.slice(0, at), usage.slice(at)] : [];
      for (const isStream of [true, false]) {
        const plain = countsOf(isStream, ...before, ...last.filter((chunk) => chunk !== ""), "data: [DONE]\n\n");
        const whole = new UsageTail(isStream);
        whole.pushFrames(frames(...before, ...last, "data: [DONE]\n\n"));
        assert.deepEqual(whole.counts(), plain);
        const mixed = new UsageTail(isStream);
        mixed.push(Buffer.from(before.join("")));
        for (const chunk of last.filter((one) => one !== "")) mixed.pushFrames(frames(chunk));
        mixed.pushFrames(frames("data: [DONE]\n\n"));
        assert.deepEqual(mixed.counts(), plain);
      }
    }),
  );
});

test("The framing of chunks is not taken for the end of an event", () => {
  const tail = new UsageTail(true);
  tail.pushFrames(frames("data: a\n", "data: b\r\n\r\n", "data: c\n\n"));
  assert.deepEqual(tail.counts(), { promptTokens: null, outputTokens: 2 });
});

test("Any bytes at all have counts that are whole numbers or null", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ max: 50 }).map((bytes) => Buffer.from(bytes))),
      fc.boolean(),
      (chunks, sse) => {
        const tail = new UsageTail(sse);
        for (const chunk of chunks) tail.push(chunk);
        for (const count of Object.values(tail.counts())) assert.ok(count === null || Number.isSafeInteger(count));
      },
    ),
  );
});
