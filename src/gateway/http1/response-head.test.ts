import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { responseHead, type AnsweredRequest } from "./response-head.ts";

const NOW = Date.UTC(2030, 0, 2, 3, 4, 5, 678);

function clockAt(nowEpochMs: number): AnsweredRequest["clock"] {
  return { epochMs: () => nowEpochMs };
}

function answered(change: Partial<AnsweredRequest> = {}): AnsweredRequest {
  return {
    method: "POST",
    httpVersion: "1.1",
    keepsAlive: true,
    keepAliveTimeoutMs: 75_900,
    clock: clockAt(NOW),
    ...change,
  };
}

test("A head has its headers, the date, and what becomes of the connection", () => {
  assert.equal(
    responseHead(200, ["content-type", "a/b", "content-length", "5"], answered()).text,
    "HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 5\r\ndate: Wed, 02 Jan 2030 03:04:05 GMT\r\n" +
      "connection: keep-alive\r\nkeep-alive: timeout=75\r\n\r\n",
  );
  assert.equal(
    responseHead(599, ["date", "then", "connection", "close"], answered({ method: "HEAD" })).text,
    "HTTP/1.1 599 Unknown\r\ndate: then\r\nconnection: close\r\n\r\n",
  );
});

function dateAt(nowEpochMs: number): string | undefined {
  return /date: (.*)\r\n/.exec(responseHead(200, [], answered({ clock: clockAt(nowEpochMs) })).text)?.[1];
}

test("The date follows the clock", () => {
  for (const at of [NOW, NOW + 321, NOW + 322, NOW - 5_000, 0]) assert.equal(dateAt(at), new Date(at).toUTCString());
});

function passedDate(date: string): string | undefined {
  const { text } = responseHead(200, [], answered(), { lines: "a: b\r\n", date, contentLength: "5" });
  return /^HTTP\/1\.1 200 OK\r\na: b\r\ndate: (.*)\r\ncontent-length: 5\r\n/.exec(text)?.[1];
}

test("The date of another answer is passed on as it is, however often it was another one", () => {
  for (const date of ["", "one", "one", "other", "one", ""]) assert.equal(passedDate(date), date);
  assert.throws(() => passedDate("with\r\na line"), { code: "ERR_INVALID_CHAR" });
  assert.equal(passedDate("one"), "one");
});

/** Status, headers, request; framing, whether the connection is kept. */
const FRAMINGS: readonly [number, readonly string[], Partial<AnsweredRequest>, string, boolean][] = [
  [200, ["content-length", "1"], {}, "length", true],
  [200, [], {}, "chunked", true],
  [200, [], { keepsAlive: false }, "chunked", false],
  [200, ["connection", "close"], {}, "chunked", false],
  [200, [], { httpVersion: "1.0" }, "to the end of the connection", false],
  [200, ["content-length", "1"], { httpVersion: "1.0" }, "length", true],
  [200, ["content-length", "1"], { httpVersion: "1.0", keepsAlive: false }, "length", false],
  [200, [], { method: "HEAD" }, "no body", true],
  [200, ["content-length", "1"], { method: "HEAD" }, "no body", true],
  [200, [], { method: "HEAD", httpVersion: "1.0" }, "no body", true],
  [204, [], {}, "no body", true],
  [204, ["content-length", "0"], { httpVersion: "1.0" }, "no body", true],
  [304, ["content-length", "5"], {}, "no body", true],
];

for (const [status, headers, request, framing, keepsAlive] of FRAMINGS) {
  test(`${status} ${headers.join(": ")} to ${JSON.stringify(request)} is framed as "${framing}"`, () => {
    const head = responseHead(status, headers, answered(request));
    assert.equal(head.framing, framing);
    assert.equal(head.keepsAlive, keepsAlive);
    assert.equal(head.text.includes("transfer-encoding: chunked\r\n"), framing === "chunked");
    assert.equal(head.text.includes("connection: close\r\n"), !keepsAlive);
    assert.equal(head.text.includes("connection: keep-alive\r\n"), keepsAlive);
    assert.equal(head.text.includes("content-length"), headers[0] === "content-length" && status !== 204);
  });
}

test("A connection that is offered another protocol says so", () => {
  const { text, keepsAlive } = responseHead(426, ["upgrade", "websocket", "connection", "Upgrade"], answered());
  assert.match(text, /\r\nconnection: Upgrade\r\n\r\n$/);
  assert.equal(keepsAlive, true);
});

for (const value of [
  "a\r\nb: c",
  "a\nb",
  "a\rb",
  "a\0b",
  "\x7f",
  "\v",
  "\u010d\u010a",
  "\u0100",
  "\ud83d\ude00",
  "\u2028",
]) {
  test(`The value ${JSON.stringify(value)} breaks no head: it is not sent, and not told`, () => {
    assert.throws(
      () => responseHead(200, ["x", value], answered()),
      (error: Error & { code?: string }) => error.code === "ERR_INVALID_CHAR" && !error.message.includes(value),
    );
    assert.throws(() => responseHead(200, ["connection", value], answered()), { code: "ERR_INVALID_CHAR" });
  });
}

test("A name that is no token is not sent", () => {
  for (const name of ["", "a b", "a:", "a\r\n", "\xe9", "\u010d"])
    assert.throws(() => responseHead(200, [name, "x"], answered()), { code: "ERR_INVALID_CHAR" });
});

test("Whatever the headers are, a head has as many lines as it should, and one empty one, at its end", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }))), (pairs) => {
      let text: string;
      try {
        text = responseHead(200, ["x", "y", ...pairs.flat()], answered()).text;
      } catch {
        return;
      }
      const lines = Buffer.from(text, "latin1")
        .toString("latin1")
        .split(/\r\n|\r|\n/);
      assert.equal(lines.indexOf(""), lines.length - 2);
      assert.ok(
        lines.slice(1, -2).every((line) => /^[^\s:]+: /.test(line)),
        text,
      );
    }),
  );
});
