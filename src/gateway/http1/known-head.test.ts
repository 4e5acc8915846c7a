import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { KnownHead } from "./known-head.ts";
import { readRequestHead } from "./request-head.ts";
import { Chance, mutated, randomRequests } from "./testing/random-bytes.ts";

const ENOUGH = 100_000;

function textOf(...lines: readonly string[]): string {
  return ["POST / HTTP/1.1", ...lines, "", ""].join("\r\n");
}

function known(text: string): KnownHead | null {
  const read = readRequestHead(text.slice(0, -2));
  assert.ok(read !== null, text);
  return KnownHead.isWorthKeeping(text, read) ? KnownHead.of(text, read) : null;
}

/** What is known of the second text from the first one; null where it is not recognised. */
function recognised(first: string, second: string, bytesMax = ENOUGH): KnownHead | null {
  const head = known(first);
  assert.ok(head !== null);
  return head.recognises(Buffer.from(second, "latin1"), bytesMax) ? head : null;
}

test("A head that comes again is recognised, whatever follows it, and whatever length it tells", () => {
  const [one, other] = [7, 1234].map((length) => textOf("host: x", `Content-Length: ${length} `, "a: \xe9"));
  assert.ok(one !== undefined && other !== undefined);
  for (const behind of ["", "body", "\r\n\r\n"]) {
    assert.deepEqual([recognised(one, one + behind)?.bodyBytes, recognised(one, one + behind)?.bytes], [7, one.length]);
    assert.equal(recognised(one, other + behind)?.bodyBytes, 1234);
    assert.equal(recognised(one, other + behind)?.bytes, other.length);
    assert.equal(recognised(other, one + behind)?.bodyBytes, 7);
  }
  assert.equal(recognised(textOf("host: x"), textOf("host: x"))?.bodyBytes, 0);
  assert.equal(recognised(textOf("transfer-encoding: chunked"), textOf("transfer-encoding: chunked"))?.bodyBytes, null);
});

test("What it says is what was read, each time", () => {
  const text = textOf("content-length: 3");
  const head = known(text);
  const read = readRequestHead(text.slice(0, -2));
  for (const length of [12, 3, 0]) {
    assert.equal(head?.recognises(Buffer.from(textOf(`content-length: ${length}`)), ENOUGH), true);
    assert.deepEqual([head?.head, head?.bodyBytes], [read?.head, length]);
  }
});

test("Another head is not recognised, however little differs", () => {
  const text = textOf("authorization: Bearer abc", "content-length: 12", "a: b");
  for (let at = 0; at < text.length; at += 1) {
    if (/\d/.test(text[at] ?? "") && at > text.indexOf("length")) continue;
    assert.equal(recognised(text, `${text.slice(0, at)}\xff${text.slice(at + 1)}`), null, `at ${at}`);
    assert.equal(recognised(text, text.slice(0, at)), null, `cut at ${at}`);
    assert.equal(recognised(text, `${text.slice(0, at)}?${text.slice(at)}`), null, `more at ${at}`);
  }
  for (const length of ["", "-1", "+1", "1 2", "1,1", "0x1", "1".repeat(16), "1e3", "\xb2"]) {
    assert.equal(recognised(text, text.replace("12", length)), null, length);
  }
  assert.equal(recognised(textOf("host: x"), textOf("host: x", "content-length: 1")), null);
  assert.equal(recognised(textOf("host: x", "content-length: 1"), textOf("host: x")), null);
});

test("A longer head than is taken is not recognised either", () => {
  const [one, other] = [1, 10].map((length) => textOf(`content-length: ${length}`));
  assert.ok(one !== undefined && other !== undefined);
  assert.ok(recognised(one, one, one.length) !== null);
  assert.equal(recognised(one, one, one.length - 1), null);
  assert.equal(recognised(one, other, one.length), null);
});

test("Neither a long head is kept nor one that asks for another protocol", () => {
  assert.equal(known(textOf(`a: ${"x".repeat(4_096)}`)), null);
  assert.equal(known(textOf("connection: upgrade", "upgrade: websocket")), null);
});

test("Whatever is recognised, to read it would have given the same", () => {
  let count = 0;
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const chance = new Chance(seed);
      const all = randomRequests(chance);
      const end = all.indexOf("\r\n\r\n", 2) + 4;
      const first = all.slice(0, end);
      const read = readRequestHead(first.slice(0, -2));
      const head = read === null ? null : KnownHead.of(first, read);
      for (const text of [all, all.slice(end), mutated(all, chance), mutated(all.slice(end), chance)]) {
        if (head?.recognises(Buffer.from(text, "latin1"), ENOUGH) !== true) continue;
        count += 1;
        assert.ok(text.slice(0, head.bytes).endsWith("\r\n\r\n"));
        const { head: again, bodyBytes } = readRequestHead(text.slice(0, head.bytes - 2)) ?? {};
        assert.deepEqual([head.head, head.bodyBytes], [again, bodyBytes]);
      }
    }),
    { numRuns: 3_000 },
  );
  assert.ok(count > 1_000, `only ${count} were recognised`);
});
