/** Whatever a file contains, the answer is a configuration or a `ConfigError`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { stringify } from "yaml";
import { ConfigError, parseConfig } from "./load.ts";
import { knownKeys } from "./schema.ts";

/** Parses, and checks of an error that it is ours and that each problem has a place within the file. */
function survive(text: string): void {
  try {
    const config = parseConfig(text, "f", { A: "1", HOME: "/home/ada" });
    assert.ok(config.models.length > 0);
  } catch (error) {
    assert.ok(error instanceof ConfigError, `${String(error)} for ${JSON.stringify(text)}`);
    assert.ok(error.problems.length > 0);
    const lineCount = text.split("\n").length;
    for (const { line, column, message } of error.problems) {
      assert.ok(Number.isInteger(line) && line >= 1 && line <= lineCount, `line ${line} of ${lineCount}`);
      assert.ok(Number.isInteger(column) && column >= 1);
      assert.ok(message.length > 0);
    }
  }
}

const anyKey = fc.oneof(fc.constantFrom(...Object.values(knownKeys).flat()), fc.string({ maxLength: 8 }));
const anyLeaf = fc.oneof(
  fc.constantFrom<unknown>(
    0,
    1,
    3,
    8001,
    -1,
    0.5,
    true,
    null,
    "",
    "30s",
    "${A}",
    "${NOPE}",
    "$${",
    "a",
    "__proto__",
    "--port",
    "20GiB",
    ["-tp", "2", "--gpu-memory-utilization=0.5"],
    { 0: "24GiB", 1: "80GiB" },
    { 0: "24GiB", x: 1 },
  ),
  fc.anything({ maxDepth: 1, withBigInt: false }),
);
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, anyLeaf, fc.array(tie("value"), { maxLength: 3 }), tie("mapping")),
  mapping: fc.dictionary(anyKey, tie("value"), { maxKeys: 5 }),
}));
const anyModels = fc.dictionary(
  fc.string({ maxLength: 3 }),
  fc.dictionary(fc.constantFrom(...knownKeys.model), anyValue),
);

/** Models without a mistake of form, so that what is looked at last is looked at as well. */
const soundModel = fc.record(
  {
    model_path: fc.constant("x"),
    gpus: fc.array(fc.nat(3), { minLength: 1, maxLength: 2 }),
    gpu_memory: fc.constantFrom("1GiB", "30 GB", "1TiB"),
    host_memory: fc.constantFrom("1GiB", "30 GB"),
    pin: fc.boolean(),
    suspend: fc.boolean(),
    sleep_level: fc.constantFrom(1, 2, 3),
    extra_args: fc.array(fc.constantFrom("-tp", "2", "4", "--gpu-memory-utilization=0.5", "--data-parallel-size")),
    simulate: fc.record({ itl_ms: fc.constant(1), prefill_tokens_per_s: fc.constant(1), sleep_s: fc.nat(200) }),
  },
  { requiredKeys: ["model_path"] },
);
const soundFile = fc.record(
  {
    gpus: fc.dictionary(fc.constantFrom("0", "1", "2", "x"), fc.constantFrom("24GiB", "80GiB")),
    host_memory_for_sleep: fc.constantFrom("1MiB", "64GiB"),
    preload: fc.boolean(),
    policy: fc.dictionary(fc.constantFrom(...knownKeys.policy), fc.nat(200)),
    models: fc.dictionary(fc.constantFrom("a", "b", "c", "d"), soundModel, { minKeys: 1 }),
  },
  { requiredKeys: ["models"] },
);

describe("parseConfig", () => {
  it("throws nothing but ConfigError for random characters", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), survive), { numRuns: 500 });
  });

  it("throws nothing but ConfigError for random tokens of YAML", () => {
    const token = fc.constantFrom(
      ..."{ } [ ] : , - ? & * ! | > ' \" # % @ ` a b models \n --- ... &x *x << ~ ${A} ${ !!map !!str \t 1".split(" "),
      " ",
      "\n  ",
    );
    fc.assert(
      fc.property(
        fc.array(token, { maxLength: 40 }).map((tokens) => tokens.join("")),
        survive,
      ),
      { numRuns: 1000 },
    );
  });

  it("throws nothing but ConfigError for well-formed files with random values under its own keys", () => {
    const file = fc
      .tuple(fc.dictionary(fc.constantFrom(...knownKeys.top), anyValue), fc.option(anyModels, { nil: undefined }))
      .map(([top, models]) => (models === undefined ? top : Object.assign(top, { models })));
    fc.assert(
      fc.property(file, (value) => survive(asText(value))),
      { numRuns: 300 },
    );
  });

  it("throws nothing but ConfigError for files that are sound but for what does not fit together", () => {
    fc.assert(
      fc.property(soundFile, (value) => survive(asText(value))),
      { numRuns: 500 },
    );
  });
});

/** YAML where the value can be written as such; JSON, which leaves out the rest, where not. */
function asText(value: unknown): string {
  try {
    return stringify(value);
  } catch {
    return JSON.stringify(value);
  }
}
