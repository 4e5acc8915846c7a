import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Failure } from "../base/failure.ts";
import { readJsonAsk } from "./json-ask.ts";

function read(text: string): string | null | Failure {
  const ask = readJsonAsk(Buffer.from(text));
  return "code" in ask ? ask : ask.model;
}

/** A letter, or one of its escapes. */
function letter(character: string): fc.Arbitrary<string> {
  const hex = character.charCodeAt(0).toString(16);
  return fc.constantFrom(character, `\\u00${hex}`, `\\u00${hex.toUpperCase()}`);
}

test("The model is found wherever it is in the body", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.string({ minLength: 1 }),
      fc.nat(),
      (rest, model, at) => {
        delete rest["model"];
        const entries: [string, unknown][] = Object.entries(rest);
        entries.splice(at % (entries.length + 1), 0, ["model", model]);
        assert.equal(read(JSON.stringify(Object.fromEntries(entries), null, at % 3)), model);
      },
    ),
  );
});

test("A second `model` at the top is refused in every spelling, and whatever stands between the two", () => {
  const disguised = fc.tuple(...Array.from("model", letter)).map((letters) => `"${letters.join("")}"`);
  const key = fc.oneof(fc.constant('"model"'), disguised);
  const space = fc.constantFrom("", " ", "\n\t", " ".repeat(100));
  fc.assert(
    fc.property(key, key, space, fc.jsonValue(), (first, second, blank, between) => {
      const text = `{${first}${blank}:"a",${blank}"x":${JSON.stringify(between)},${second}${blank}:"b"}`;
      const answer = read(text);
      assert.ok(typeof answer === "object" && answer !== null, text);
      assert.match(answer.message, /more than once/);
    }),
  );
});

test("A `model` inside of something else is not a second one", () => {
  for (const text of [
    '{"model": "a", "x": {"model": "b", "y": [{"model": "c"}]}}',
    '{"x": {"model": "b"}, "model": "a"}',
    '{"model": "a", "x": "\\"model\\": 1, \\"model\\""}',
    '{"model": "a", "x": ["model", "model"]}',
    '{"x": "model", "model": "a", "y\\\\": "\\u006dodel"}',
    '{"x": "}", "model": "a", "model ": "b", "Model": "c"}',
    '{"\\\\\\"": "\\\\", "model": "a", "z": "\\u006d{[\\""}',
  ]) {
    assert.equal(read(text), "a", text);
  }
});

test("A body of a megabyte of quotes and backslashes is read in no time worth noting", () => {
  const nasty = JSON.stringify({ a: '\\"'.repeat(250_000), "b\\u006d": "\\".repeat(500_000), model: "a" });
  assert.equal(read(nasty), "a");
});

test("Nothing of the body is repeated in an error about it", () => {
  for (const text of ["{secret", '{"model": secret}', "secret", '{"model": "a" secret}', '{"secret": "']) {
    const answer = read(text);
    assert.ok(typeof answer === "object" && answer !== null);
    assert.doesNotMatch(answer.message, /secret/);
  }
});

test("Any bytes at all give a model or a failure, and never an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const answer = readJsonAsk(Buffer.from(bytes));
      assert.ok(!("code" in answer) || answer.code === "invalid_request");
    }),
  );
});

test("Only a `stream` that is true, and at the top, asks for a stream", () => {
  for (const [text, wantsStream] of [
    ['{"stream":true}', true],
    ['{"stream":false,"x":{"stream":true}}', false],
    ['{"stream":"true"}', false],
    ['{"stream":1}', false],
    ["{}", false],
  ] as const) {
    assert.deepEqual(readJsonAsk(Buffer.from(text)), { model: null, wantsStream });
  }
});
