import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { dialectOf, findRoute, responseIdOf, splitTarget } from "./routes.ts";

test("A path has a route only in its one spelling", () => {
  assert.equal(findRoute("/v1/chat/completions")?.answerer, "engine");
  for (const path of [
    "/v1/chat/completions/",
    "//v1/chat/completions",
    "/v1/chat/Completions",
    "/sleep",
    "",
    "v1/models",
  ]) {
    assert.equal(findRoute(path), null, path);
  }
});

test("What is sent to an engine is one of the paths of the table, whatever the client wrote", () => {
  const piece = fc.constantFrom(
    "/",
    "v1",
    "sleep",
    "%73leep",
    "..",
    ".",
    "chat",
    "completions",
    "models",
    "%2f",
    ";",
    "\\",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const path = pieces.join("");
      const route = findRoute(path);
      if (route?.answerer === "engine" && route.names.startsWith("json")) assert.equal(route.path, path);
      assert.doesNotMatch(route?.path ?? "", /sleep|\.\.|%/);
    }),
    { numRuns: 2_000 },
  );
});

test("The path of a response holds an id that is nothing but an id", () => {
  assert.equal(findRoute("/v1/responses/resp_1-A")?.path, "/v1/responses/{id}");
  assert.equal(findRoute("/v1/responses/resp_1/cancel")?.path, "/v1/responses/{id}/cancel");
  assert.equal(responseIdOf("/v1/responses/resp_1/cancel"), "resp_1");
  for (const id of ["", ".", "..", "a/b", "a%2fb", "a;b", "a?b", "a b", "../sleep", "a/cancel/", "x".repeat(201)]) {
    assert.equal(findRoute(`/v1/responses/${id}`), null, id);
  }
});

test("A target is cut at its first question mark and nowhere else", () => {
  assert.deepEqual(splitTarget("/a?b?c#d"), { path: "/a", query: "?b?c#d" });
  assert.deepEqual(splitTarget("/a#b"), { path: "/a#b", query: "" });
  assert.deepEqual(splitTarget(""), { path: "", query: "" });
});

test("Scheme and authority before a target change nothing of it", () => {
  assert.deepEqual(splitTarget("http://a"), { path: "/", query: "" });
  assert.deepEqual(splitTarget("https://[::1]:8?b/c"), { path: "/", query: "?b/c" });
  assert.deepEqual(splitTarget("http://a/http://b/c"), { path: "/http://b/c", query: "" });
  for (const target of ["*", "ftp://a/b", "http:/a", "x/http://a/b"]) {
    assert.deepEqual(splitTarget(target), { path: target, query: "" });
  }
  const authority = fc.stringMatching(/^[a-z0-9.-]{1,9}(?::[0-9]{0,5})?$/);
  const rest = fc.array(fc.constantFrom("/", "a", "?", "..", "//", ":", "%2f", "http://", "\\", "@"), { maxLength: 8 });
  fc.assert(
    fc.property(fc.constantFrom("http", "HTTPS"), authority, rest, (scheme, where, pieces) => {
      const target = `/${pieces.join("")}`;
      assert.deepEqual(splitTarget(`${scheme}://${where}${target}`), splitTarget(target));
    }),
    { numRuns: 2_000 },
  );
});

test("Anthropic's paths, and those below them that do not exist, speak Anthropic's dialect", () => {
  assert.equal(findRoute("/v1/messages/count_tokens")?.dialect, "anthropic");
  assert.equal(dialectOf("/v1/messages/batches"), "anthropic");
  assert.equal(dialectOf("/v1/messagesx"), "openai");
});
