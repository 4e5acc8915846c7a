/** Files that are no well-formed configuration at all, whatever their keys. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorLines } from "./testing/error-lines.ts";

const a = "models: {a: {model_path: x}}";

/** [what is wrong, the file, the whole of what is said]. */
const faults: readonly (readonly [string, string, ...string[]])[] = [
  ["an empty file", "", "f:1:1: expected a configuration with at least one model, found an empty file"],
  ["only comments", "# x\n", "f:1:1: expected a configuration with at least one model, found an empty file"],
  ["a list at the root", "\n- a", "f:2:1: expected a mapping of keys to values, found a list"],
  ["a word at the root", "hello", "f:1:1: expected a mapping of keys to values, found a single value"],
  ["two documents", `${a}\n---\n${a}`, "f:2:1: expected one document, found a second one (after ---)"],
  ["a key given twice", `port: 1\n${a}\nport: 2`, "f:3:1: port: expected each key once, found it twice in one mapping"],
  [
    "a model given twice",
    "models:\n  a: {model_path: x}\n  a: {model_path: y}",
    "f:3:3: a: expected each key once, found it twice in one mapping",
  ],
  [
    "a key that is a list",
    `? [x]\n: 1\n${a}`,
    "f:1:3: expected a key that is a plain text, found a list, a mapping or an alias",
  ],
  ["an alias without anchor", "models: *x", "f:1:9: expected an anchor &x before this alias, found none"],
  ["a tag of nobody's", `port: !x 1\n${a}`, "f:1:7: expected well-formed YAML: Unresolved tag: !x"],
];

describe("a file that is malformed", () => {
  for (const [what, text, ...said] of faults) {
    it(`is refused for ${what}, with the place and what was expected and found`, () => {
      assert.deepEqual(errorLines(text), said);
    });
  }

  it("is refused for broken YAML at the place where it breaks", () => {
    for (const [text, place] of [
      ["models:\n  a: [1\nport: 2", "f:3:1"],
      ["a: 'b", "f:1:6"],
      ["models:\n\t- a", "f:2:1"],
      ["a: b: c", "f:1:4"],
    ] as const) {
      const [line] = errorLines(text);
      assert.ok(line?.startsWith(`${place}: expected well-formed YAML: `), `${JSON.stringify(text)} → ${line}`);
    }
  });

  it("says the first few faults of form only, since each leads to more", () => {
    assert.equal(errorLines("[".repeat(50)).length, 1);
    assert.ok(errorLines("}\n".repeat(50)).length <= 5);
  });

  it("is refused for what is nested too deeply, or multiplies through aliases", () => {
    assert.ok(errorLines("[".repeat(20_000)).length > 0);
    const doubling = Array.from({ length: 12 }, (_, n) => `k${n}: &k${n} [${`*k${n - 1},`.repeat(n === 0 ? 0 : 9)}1]`);
    assert.match(errorLines(doubling.join("\n"))[0] ?? "", /^f:1:1: expected readable YAML: /);
  });
});
