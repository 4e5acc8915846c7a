import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { readRequestHeaders, type RequestHeaders } from "./headers.ts";
import { readHeaderLines } from "./http1/request-head.ts";

/** Names and values, as a client writes them. */
function readAsSent(raw: readonly string[]): Omit<RequestHeaders, "forward"> & { readonly forward: readonly string[] } {
  let lines = "";
  for (let index = 0; index + 1 < raw.length; index += 2) lines += `${raw[index]}: ${raw[index + 1]}\r\n`;
  const headers = readHeaderLines(lines);
  assert.ok(headers !== null);
  const read = readRequestHeaders(headers);
  return { ...read, forward: read.forward.flat };
}

test("A request's headers are sorted into what goes on, what stays, and what is read here", () => {
  const headers = readAsSent([
    "Host",
    "a",
    "Content-Type",
    "application/json",
    "X-Twice",
    "1",
    "X-Twice",
    "2",
    "Content-Length",
    "12",
    "Transfer-Encoding",
    "chunked",
    "Content-Encoding",
    "gzip",
    "X-Request-Id",
    "id",
    "Model-Override",
    "m",
    "X-Llmux-Priority",
    "low",
    "AUTHORIZATION",
    "Bearer x",
    "Cookie",
    "c",
    "Upgrade",
    "h2c",
    "HTTP2-Settings",
    "x",
    "Keep-Alive",
    "x",
  ]);
  assert.deepEqual(headers, {
    forward: ["content-type", "application/json", "x-twice", "1", "x-twice", "2", "content-encoding", "gzip"],
    requestId: "id",
    modelOverride: "m",
    contentEncoding: "gzip",
    contentType: "application/json",
    priority: "low",
    hasHost: true,
    bearer: "x",
    apiKey: null,
  });
});

test("A key is read from where clients put it, the first one of each, and none of them is forwarded", () => {
  for (const [raw, bearer, apiKey] of [
    [["authorization", "Bearer k"], "k", null],
    [["Authorization", "bearer   k  "], "k", null],
    [["authorization", "Basic k"], null, null],
    [["authorization", "Bearer "], null, null],
    [["authorization", "Bearer two words"], null, null],
    [["authorization", "k"], null, null],
    [["X-Api-Key", "k"], null, "k"],
    [["x-api-key", "k", "x-api-key", "l", "authorization", "Bearer m", "authorization", "Bearer n"], "m", "k"],
    [["api-key", "k"], null, null],
  ] as const) {
    const headers = readAsSent(raw);
    assert.deepEqual([headers.bearer, headers.apiKey], [bearer, apiKey]);
    assert.deepEqual(headers.forward, []);
  }
});

test("Headers named by Connection go no further, except those that say what the body is", () => {
  const raw = ["X-A", "1", "connection", "close, X-A , x-b", "x-b", "2", "x-c", "3", "Connection", "content-type"];
  const { forward } = readAsSent([...raw, "content-type", "t"]);
  assert.deepEqual(forward, ["x-c", "3", "content-type", "t"]);
});

test("Whatever headers come, what may not go on does not, and all the rest does, in its order", () => {
  const own = [
    "host",
    "content-length",
    "connection",
    "x-request-id",
    "model-override",
    "x-llmux-priority",
    "expect",
    "te",
  ];
  const secret = ["authorization", "x-api-key", "api-key", "cookie", "proxy-authorization", "x-goog-api-key"];
  const between = ["transfer-encoding", "keep-alive", "upgrade", "trailer", "proxy-connection"];
  const stays = new Set([...own, ...secret, ...between]);
  const plain = fc
    .stringMatching(/^[a-z][a-z0-9-]{0,12}$/)
    .filter((name) => !stays.has(name) && !name.startsWith("x-"));
  const mixed = fc.oneof(plain, fc.constantFrom(...stays)).chain((name) => {
    return fc.array(fc.boolean(), { minLength: name.length, maxLength: name.length }).map((upper) => {
      return Array.from(name, (letter, index) => (upper[index] === true ? letter.toUpperCase() : letter)).join("");
    });
  });
  const value = fc.string({ unit: fc.constantFrom("a", "b", " ", ",", ";", "=", "/", "é") });
  fc.assert(
    fc.property(fc.array(fc.tuple(mixed, value)), (headers) => {
      const { forward } = readAsSent(headers.filter(([name]) => name.toLowerCase() !== "connection").flat());
      const expected = headers
        .filter(([name]) => !stays.has(name.toLowerCase()))
        .map(([name, text]) => [name.toLowerCase(), text.trim()]);
      assert.deepEqual(forward, expected.flat());
      const all = readAsSent(headers.flat()).forward;
      for (let index = 0; index < all.length; index += 2) assert.ok(!stays.has(all[index] ?? ""));
    }),
    { numRuns: 500 },
  );
});

test("An id that would be no header's value, nor fit into a log, is none", () => {
  for (const id of ["", "a b", "\xe9", "x".repeat(129)]) assert.equal(readAsSent(["x-request-id", id]).requestId, null);
  assert.equal(readAsSent(["x-request-id", "x".repeat(128), "x-request-id", "b"]).requestId, "x".repeat(128));
});

test("A model-override that is given twice names no model that there is", () => {
  const { modelOverride } = readAsSent(["model-override", "a", "model-override", "b"]);
  assert.equal(modelOverride, "a, b");
});
