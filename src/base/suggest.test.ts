import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { suggest } from "./suggest.ts";

const keys = ["port", "metrics_port", "policy", "models", "min_active_secs", "model_path", "sleep_level"];

describe("suggest", () => {
  for (const [word, meant] of [
    ["prot", "port"],
    ["polcy", "policy"],
    ["model", "models"],
    ["minActiveSecs", "min_active_secs"],
    ["min-active-secs", "min_active_secs"],
    ["min_active_sec", "min_active_secs"],
    ["modelpath", "model_path"],
    ["min_active", "min_active_secs"],
    ["level", "sleep_level"],
    ["SLEEP_LEVEL", "sleep_level"],
  ] as const) {
    it(`takes ${word} for ${meant}`, () => assert.equal(suggest(word, keys), meant));
  }

  it("says nothing where nothing is near", () => assert.equal(suggest("temperature", keys), undefined));
  it("says nothing where there is nothing to choose from", () => assert.equal(suggest("port", []), undefined));
  it("does not compare words of absurd length", () => assert.equal(suggest("p".repeat(100_000), keys), undefined));

  it("finds every word that is among the candidates", () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-z_]{1,20}$/), (word) => suggest(word, [...keys, word]) !== undefined));
  });
});
