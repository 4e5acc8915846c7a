import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { readAnswerHead, type AnswerHead } from "./answer-head.ts";
import { KnownAnswer } from "./known-answer.ts";

const DATE = "Sun, 22 Nov 2026 09:00:00 GMT";

function usual(date: string, length: number): string[] {
  return [`Date: ${date}`, "server: uvicorn", `content-length: ${length} `, "content-type: application/json"];
}

function textOf(...lines: readonly string[]): string {
  return ["HTTP/1.1 200 OK", ...lines, "", ""].join("\r\n");
}

function known(text: string): KnownAnswer | null {
  const whole = text.slice(0, -4);
  return KnownAnswer.of(whole, readAnswerHead(whole, false));
}

/** What the second text is said to be by who knows the first. */
function recognised(first: string, second: string): AnswerHead | null {
  const before = Buffer.from("behind another answer");
  const bytes = Buffer.concat([before, Buffer.from(second, "latin1")]);
  const answer = known(first);
  const head = answer?.recognise(bytes, before.length, bytes.length) ?? null;
  if (head !== null) assert.equal(answer?.bytes, second.indexOf("\r\n\r\n") + 4);
  return head;
}

/** A plain object of all that it says. */
function said(head: AnswerHead | null): object | null {
  return head === null ? null : { ...head, headers: head.headers.flat };
}

test("A head that comes again is recognised with another date and another length, and its headers are the same block", () => {
  for (const order of [(all: string[]) => all, (all: string[]) => all.toReversed()]) {
    const first = textOf(...order(usual(DATE, 7)));
    const second = textOf(...order(usual(DATE.replace("09:00", "10:17"), 12_345)));
    const head = recognised(first, `${second}body`);
    assert.deepEqual(said(head), said(readAnswerHead(second.slice(0, -4), false)));
    assert.deepEqual([head?.framing, head?.contentLength], [12_345, "12345"]);
    const answer = known(first);
    const again = [first, second].map((text) => answer?.recognise(Buffer.from(text), 0, text.length)?.headers);
    assert.ok(again[0] !== undefined && again[0] === again[1]);
  }
});

test("Chunks are recognised, and an answer that ends with its connection", () => {
  for (const lines of [["transfer-encoding: chunked", `date: ${DATE}`], [`date: ${DATE}`], []]) {
    const text = textOf(...lines, "a: b");
    assert.deepEqual(said(recognised(text, text)), said(readAnswerHead(text.slice(0, -4), false)));
  }
});

test("Another head is not recognised, however little differs, nor one that has not come whole", () => {
  const text = textOf("content-length: 12", `date: ${DATE}`, "a: b");
  const [dateAt, lengthAt] = [text.indexOf(DATE), text.indexOf("12\r")];
  for (let at = 0; at < text.length; at += 1) {
    assert.equal(recognised(text, text.slice(0, at)), null, `cut at ${at}`);
    const isHole = (at >= dateAt && at < dateAt + DATE.length) || (at >= lengthAt && at < lengthAt + 2);
    assert.equal(recognised(text, `${text.slice(0, at)}\x7f${text.slice(at + 1)}`), null, `at ${at}`);
    if (!isHole) assert.equal(recognised(text, `${text.slice(0, at)}?${text.slice(at + 1)}`), null, `? at ${at}`);
  }
  for (const date of ["", "now", ` ${DATE.slice(1)}`, `${DATE.slice(1)} `, `${DATE.slice(0, -2)}\r\n`]) {
    assert.equal(recognised(text, text.replace(DATE, date)), null, date);
  }
  for (const length of ["", "-1", "1 2", "1,1", "1".repeat(16), "\xb2"]) {
    assert.equal(recognised(text, text.replace("12", length)), null, length);
  }
});

test("What has no body of its own, two lengths or dates, or too much to be kept, is not kept", () => {
  for (const status of ["103 Early Hints", "204 No Content", "304 Not Modified"]) {
    assert.equal(known(textOf("a: b").replace("200 OK", status)), null, status);
  }
  assert.equal(known(textOf("content-length: 1", "Content-Length: 1")), null);
  assert.equal(known(textOf("content-length: 1, 1")), null);
  assert.equal(known(textOf("content-length: 5", "content-length: 5,5")), null);
  assert.equal(known(textOf("content-length: 5,5", "Content-Length: 5")), null);
  assert.equal(known(textOf("date:", "Date: A")), null);
  assert.equal(known(textOf("content-length: 1", "transfer-encoding: chunked")), null);
  assert.equal(known(textOf(`a: ${"x".repeat(4_096)}`)), null);
});

test("Whatever is recognised, to read it would have said the same", () => {
  const line = fc.constantFrom(
    "content-length: 5",
    "Content-Length:7 ",
    "content-length: 5,5",
    "date:",
    "transfer-encoding: chunked",
    "transfer-encoding: gzip",
    `date: ${DATE}`,
    "date:  x",
    "Date: y \t",
    "connection: close",
    "keep-alive: timeout=5",
    "a: b",
    "a:",
    "a\tb",
  );
  const head = fc.tuple(
    fc.constantFrom("HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 500 x", "HTTP/1.1 204"),
    fc.array(line),
  );
  const change = fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.constantFrom("", "1", "12", "x", " ", "\r\n", ":", "\xe9"),
  );
  let count = 0;
  fc.assert(
    fc.property(head, fc.array(change, { maxLength: 3 }), ([first, lines], changes) => {
      const text = [first, ...lines, "", ""].join("\r\n");
      let answer: KnownAnswer | null;
      try {
        answer = known(text);
      } catch {
        return;
      }
      let other = text;
      for (const [where, what] of changes) {
        const at = Math.floor(where * (other.length - 4));
        other = other.slice(0, at) + what + other.slice(at + 1);
      }
      const found = answer?.recognise(Buffer.from(other, "latin1"), 0, other.length) ?? null;
      if (answer === null || found === null) return;
      count += 1;
      assert.deepEqual(said(found), said(readAnswerHead(other.slice(0, answer.bytes - 4), false)));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(count > 100, `only ${count} were recognised`);
});
