import assert from "node:assert/strict";
import { test } from "node:test";
import { headersObject, readAnswerHead, type AnswerHead } from "./answer-head.ts";

function head(lines: string, isToHead = false): AnswerHead {
  return readAnswerHead(lines.trim().replaceAll(/\s*\n\s*/g, "\r\n"), isToHead);
}

test("Names come in small letters, values without blanks around, repeated ones as a list", () => {
  const read = head("HTTP/1.1 200 OK\nContent-Type:\tapplication/json \nset-cookie:a=1\nSet-Cookie: b=2\nX-Empty:");
  assert.equal(read.status, 200);
  assert.equal(read.statusText, "OK");
  assert.deepEqual(
    { ...headersObject(read) },
    { "content-type": "application/json", "set-cookie": ["a=1", "b=2"], "x-empty": "" },
  );
});

test("Headers that are called as what every object has are headers like any other", () => {
  const headers = headersObject(head("HTTP/1.1 200\nconstructor: a\n__proto__: b\nconstructor: c"));
  assert.deepEqual(Object.keys(headers).sort(), ["__proto__", "constructor"]);
  assert.deepEqual(headers["constructor"], ["a", "c"]);
});

test("The end of the body is known by chunks, by a length, or by the end of the connection", () => {
  assert.equal(head("HTTP/1.1 200 OK\ncontent-length: 12").framing, 12);
  assert.equal(head("HTTP/1.1 200 OK\ncontent-length: 12\ncontent-length: 12").framing, 12);
  assert.equal(head("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked").framing, "chunked");
  assert.equal(head("HTTP/1.1 200 OK").framing, "to the end of the connection");
});

test("Chunks win over a length, which is not passed on, and the connection is not kept", () => {
  const both = head("HTTP/1.1 200 OK\ncontent-length: 12\ntransfer-encoding: chunked");
  assert.deepEqual([both.framing, both.keptMs, both.contentLength], ["chunked", 0, null]);
  assert.deepEqual({ ...headersObject(both) }, { "transfer-encoding": "chunked" });
});

test("What is another with each answer is told beside the rest", () => {
  const read = head("HTTP/1.1 200 OK\nDate: now\nserver: x\nContent-Length: 7\ncontent-length: 7\nDate: then");
  assert.deepEqual([read.date, read.contentLength, read.headers.flat], ["now", "7", ["server", "x"]]);
  assert.deepEqual({ ...headersObject(read) }, { server: "x", date: "now", "content-length": "7" });
});

test("Answers to HEAD and those with 204, 304 and 1xx have no body, whatever they say", () => {
  assert.equal(head("HTTP/1.1 200 OK\ncontent-length: 12", true).framing, 0);
  assert.equal(head("HTTP/1.1 200 OK\ncontent-length: 12", true).keptMs, Infinity);
  assert.equal(head("HTTP/1.1 204 No Content").framing, 0);
  assert.equal(head("HTTP/1.1 204 No Content").keptMs, Infinity);
  assert.equal(head("HTTP/1.1 304 Not Modified\ncontent-length: 12").framing, 0);
  assert.equal(head("HTTP/1.1 304 Not Modified\ncontent-length: 12").keptMs, 0, "it may send the body all the same");
  assert.equal(head("HTTP/1.1 103 Early Hints").framing, 0);
});

test("A connection is kept for as long as the engine says, less a second", () => {
  const keptMs = (lines: string, version = "1.1"): number =>
    head(`HTTP/${version} 200 OK\ncontent-length: 0\n${lines}`).keptMs;
  assert.equal(keptMs(""), Infinity);
  assert.equal(keptMs("connection: keep-alive\nkeep-alive: timeout=3, max=100"), 2_000);
  assert.equal(keptMs("keep-alive: timeout=1"), 0);
  assert.equal(keptMs("connection: close"), 0);
  assert.equal(keptMs("connection: x-hop, Close"), 0);
  assert.equal(keptMs("connection: x-hop\nconnection: close"), 0);
  assert.equal(keptMs("connection: closed"), Infinity);
  assert.equal(keptMs("connection: keep-alive", "1.0"), 0);
  assert.equal(head("HTTP/1.1 200 OK").keptMs, 0);
});

for (const [what, text] of [
  ["another protocol", "HTTP/2 200 OK"],
  ["another version", "HTTP/1.2 200 OK"],
  ["no status", "HTTP/1.1 OK"],
  ["a status of four digits", "HTTP/1.1 2000 OK"],
  ["a header without a colon", "HTTP/1.1 200 OK\r\nx-a"],
  ["a header without a name", "HTTP/1.1 200 OK\r\n: b"],
  ["a blank before the colon", "HTTP/1.1 200 OK\r\nx-a : b"],
  ["a folded header", "HTTP/1.1 200 OK\r\nx-a: b\r\n c: d"],
  ["a lone line feed", "HTTP/1.1 200 OK\r\nx-a: b\nx-c: d"],
  ["a lone carriage return", "HTTP/1.1 200 OK\r\nx-a: b\rx-c: d"],
  ["a zero byte", "HTTP/1.1 200 OK\r\nx-a: b\0"],
  ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2"],
  ["two lengths in one line", "HTTP/1.1 200 OK\r\ncontent-length: 1, 2"],
  ["a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1"],
  ["a length that is no number", "HTTP/1.1 200 OK\r\ncontent-length: 1x"],
  ["an empty length", "HTTP/1.1 200 OK\r\ncontent-length:"],
  ["a length beyond all numbers", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999"],
  ["an unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked"],
  ["a coding named twice", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked"],
] as const) {
  test(`A head with ${what} is refused`, () => {
    assert.throws(() => readAnswerHead(text, false), { name: "HTTPParserError" });
  });
}
