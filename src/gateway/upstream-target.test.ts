import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Models } from "./models.ts";
import { readUpstreamTarget } from "./upstream-target.ts";

const MODELS = new Models([
  { id: "a", aliases: ["first"] },
  { id: "org/b", aliases: [] },
  { id: "org/b/c", aliases: [] },
]);

function read(rest: string): string {
  const target = readUpstreamTarget(`/upstream/${rest}`, MODELS);
  return "code" in target ? target.code : `${target.model.id} ${target.path}`;
}

test("The longest name counts, as it is, percent-encoded or as an alias, and the rest is the path", () => {
  assert.equal(read("a/metrics"), "a /metrics");
  assert.equal(read("first/v1/models/"), "a /v1/models/");
  assert.equal(read("a"), "a /");
  assert.equal(read("org/b/props"), "org/b /props");
  assert.equal(read("org%2Fb/slots"), "org/b /slots");
  assert.equal(read("org/b/c/v1/chat/completions"), "org/b/c /v1/chat/completions");
  assert.equal(read("b/metrics"), "model_not_found");
  assert.equal(read(""), "model_not_found");
  assert.equal(read("%/x"), "model_not_found");
});

test("What controls an engine is out of reach, in every spelling", () => {
  for (const path of [
    "sleep",
    "SLEEP",
    "sleep/",
    "/sleep",
    "%73leep",
    "%2573leep",
    "v1/../sleep",
    "v1/..%2fsleep",
    "./sleep",
    "sleep;x",
    "sleep%00",
    "v1//sleep",
    "\\sleep",
    "sleep\\",
    "wake_up",
    "is_sleeping",
    "collective_rpc",
    "reset_prefix_cache",
    "v1/load_lora_adapter",
    "models/load",
    "models/unload",
    "release_memory_occupation",
    "wakeup",
    "mock/faults",
    "sleep#",
    "sleep%3flevel=1",
  ]) {
    assert.equal(read(`a/${path}`), "route_not_found", path);
  }
});

test("Whatever path comes through is plain, and names nothing that controls an engine", () => {
  const piece = fc.constantFrom(
    "/",
    "//",
    "sleep",
    "Sleep",
    "%73",
    "%2f",
    "..",
    ".",
    "v1",
    "models",
    ";",
    "\\",
    "é",
    "\0",
    "?",
    "load",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const target = readUpstreamTarget(`/upstream/a/${pieces.join("")}`, MODELS);
      if ("code" in target) return;
      assert.equal(new URL(target.path, "http://x").pathname, target.path);
      assert.doesNotMatch(target.path, /\/(?:sleep|load)(?:\/|$)|\/\//i);
    }),
    { numRuns: 2_000 },
  );
});
