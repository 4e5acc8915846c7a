import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderBlock } from "../base/header-block.ts";
import { answerHeadersOf, answerReadingOf, AnswerReading } from "./answer-reading.ts";

function read(...flat: readonly string[]): AnswerReading {
  return new AnswerReading(new HeaderBlock(flat));
}

test("A client gets the headers of an answer but for those between engine and gateway, and for those that are ours", () => {
  const flat = ["content-type", "t", "connection", "X-A, date", "x-a", "1", "set-cookie", "a", "set-cookie", "b"];
  const { lines, passesDate } = read(...flat, "trailer", "x", "x-request-id", "theirs", "x-llmux-model", "x");
  assert.equal(lines, "content-type: t\r\nset-cookie: a\r\nset-cookie: b\r\n");
  assert.equal(passesDate, false);
  assert.equal(read("connection", "keep-alive").passesDate, true);
  assert.equal(
    read("connection", "x-b", "connection", "content-type, x-c", "x-c", "1", "content-type", "t").lines,
    "content-type: t\r\n",
  );
});

test("A stream is marked as not to be buffered, unless the engine has said something else", () => {
  const type = ["content-type", "text/event-stream; charset=utf-8"];
  const { lines, isStream, isJson } = read(...type, "cache-control", "no-store");
  assert.deepEqual([isStream, isJson], [true, false]);
  assert.match(lines, /\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n$/);
  assert.match(
    read(...type, "x-accel-buffering", "yes").lines,
    /\r\nx-accel-buffering: yes\r\ncache-control: no-cache\r\n$/,
  );
  assert.doesNotMatch(read("content-type", "application/json").lines, /cache-control|buffering/);
});

test("JSON is known by the beginning of its type", () => {
  assert.equal(read("content-type", "application/json; charset=utf-8").isJson, true);
  assert.equal(read("content-type", "text/plain").isJson, false);
  assert.equal(read().isJson, false);
});

test("What cannot be sent is an error only when it is to be sent", () => {
  const reading = read("x-a", "line\nbreak");
  assert.throws(() => reading.lines, { code: "ERR_INVALID_CHAR" });
});

test("The same headers are read once", () => {
  const headers = new HeaderBlock(["a", "b"]);
  const one = answerReadingOf({ headers, date: null, contentLength: null });
  assert.equal(answerReadingOf({ headers, date: "x", contentLength: "1" }), one);
  assert.notEqual(answerReadingOf({ headers: new HeaderBlock(["a", "b"]), date: null, contentLength: null }), one);
});

test("An object of headers is the same as a block, with what is another each time beside it", () => {
  const { headers, date, contentLength } = answerHeadersOf({
    a: "1",
    "set-cookie": ["b", "c"],
    date: "now",
    "content-length": "3",
    d: undefined,
  });
  assert.deepEqual(headers.flat, ["a", "1", "set-cookie", "b", "set-cookie", "c"]);
  assert.deepEqual([date, contentLength], ["now", "3"]);
  // As undici tells a header that came twice, whatever its type says.
  const twice = Object.assign({}, { date: ["now", "then"] as unknown as string });
  assert.equal(answerHeadersOf(twice).date, "now");
  assert.deepEqual(answerHeadersOf({}), { headers: new HeaderBlock([]), date: null, contentLength: null });
});
