import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Dispatcher } from "undici";
import { HeaderBlock } from "../../base/header-block.ts";
import { requestBytes } from "./request-head.ts";

const NONE = new HeaderBlock([]);

/** The head as it is written, or null. */
function headOf(options: Partial<Dispatcher.DispatchOptions>, host: string, more: HeaderBlock): string | null {
  const bytes = requestBytes({ method: "POST", path: "/v1/x", ...options }, host, more);
  return bytes === null ? null : bytes.start.toString("latin1") + bytes.rest;
}

/** The first line, and the headers whatever their order. */
function parts(head: string | null): readonly string[] | null {
  if (head === null) return null;
  const [first = "", ...lines] = head.split("\r\n");
  return [first, ...lines.sort()];
}

const name = fc.constantFrom("a", "x-one", "accept", "not a token", "host");
const value = fc.oneof(fc.string({ maxLength: 5 }), fc.constantFrom("1", "é", "line\nbreak", "日"));
const pairs = fc.array(fc.tuple(name, value), { maxLength: 3 }).map((all) => all.flat());
const target = fc.record({
  method: fc.constantFrom("POST", "GET", "PUT"),
  path: fc.constantFrom("/v1/a", "/v1/b?c=d", "no path"),
  host: fc.constantFrom("127.0.0.1:1", "127.0.0.1:2"),
  more: fc.constantFrom(NONE, new HeaderBlock(["authorization", "Bearer x"]), new HeaderBlock(["bad", "\r\n"])),
});

test("A request whose headers came before is written as one whose headers never did", () => {
  fc.assert(
    fc.property(
      fc.record({ first: pairs, lasts: fc.array(fc.record({ last: pairs, target }), { maxLength: 8 }) }),
      ({ first, lasts }) => {
        const block = new HeaderBlock(first);
        for (const { last, target: to } of lasts) {
          // Nearly always the same.
          for (const { method, path, host, more } of [to, to, to]) {
            const headers = new HeaderBlock(last, block);
            const options = { method, path, body: Buffer.from("hello") };
            const expected = headOf({ ...options, headers: [...first, ...last] }, host, more);
            assert.deepEqual(parts(headOf({ ...options, headers }, host, more)), parts(expected));
          }
        }
      },
    ),
  );
});

test("What was written once is not made again, wherever else the headers go meanwhile", () => {
  const block = new HeaderBlock(["a", "1"]);
  const startFor = (path: string, id: string): Buffer | undefined =>
    requestBytes({ method: "POST", path, headers: block.with("x-request-id", id) }, "h", NONE)?.start;
  startFor("/a", "1");
  const second = startFor("/a", "2");
  assert.equal(second?.toString(), "POST /a HTTP/1.1\r\nhost: h\r\na: 1\r\n");
  assert.equal(startFor("/a", "3"), second);
  startFor("/b", "4");
  startFor("/b", "5");
  assert.equal(startFor("/b", "6")?.toString(), "POST /b HTTP/1.1\r\nhost: h\r\na: 1\r\n");
  assert.equal(second?.toString(), "POST /a HTTP/1.1\r\nhost: h\r\na: 1\r\n");
});

test("The length is told, and a request without a body has it where one is expected", () => {
  assert.equal(headOf({ method: "GET", headers: [] }, "h", NONE), "GET /v1/x HTTP/1.1\r\nhost: h\r\n\r\n");
  assert.equal(headOf({ headers: [] }, "h", NONE), "POST /v1/x HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
});

function behind(before: HeaderBlock, { method, path, host, more }: typeof USUAL): readonly string[] | null {
  return parts(headOf({ method, path, headers: before.with("x-request-id", "id") }, host, more));
}

const USUAL = { method: "POST", path: "/v1/a", host: "127.0.0.1:1", more: NONE };

for (const other of [
  { ...USUAL, method: "PUT" },
  { ...USUAL, path: "/v1/b" },
  { ...USUAL, host: "127.0.0.1:2" },
  { ...USUAL, more: new HeaderBlock(["authorization", "Bearer x"]) },
]) {
  const what = Object.keys(USUAL).find((key) => Reflect.get(other, key) !== Reflect.get(USUAL, key));
  test(`A request that differs from those before in its ${what} alone is written as the first one is`, () => {
    const block = new HeaderBlock(["a", "1"]);
    for (const to of [USUAL, USUAL, USUAL, other, USUAL, USUAL, other, other, other, USUAL]) {
      assert.deepEqual(behind(block, to), behind(new HeaderBlock(["a", "1"]), to));
    }
  });
}

test("What is no path is none for the first request either", () => {
  for (const path of ["", "x", "/a b", "/\n"]) assert.equal(headOf({ path, headers: [] }, "h", NONE), null);
});
