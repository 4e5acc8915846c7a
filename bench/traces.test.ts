/** The benchmarks' own ways with traces and with their command line. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TraceRow } from "../src/simulation/trace-file.ts";
import { readCommand } from "./options.ts";
import { loaded } from "./rate.ts";
import { arrivalsIn, engineFigures } from "./traces.ts";

/** One request a second, told apart by its prompt. */
const ROWS: readonly TraceRow[] = Array.from({ length: 40_000 }, (_, second) => {
  return {
    line: second + 2,
    timestampS: second,
    model: "ab"[second % 2] ?? "a",
    promptTokens: second,
    outputTokens: 1,
  };
});

function requestsOf(load: number): readonly number[] {
  return loaded({ rows: ROWS, fromS: 10_000, seed: 1 }, load).map(({ promptTokens }) => promptTokens);
}

describe("a load", () => {
  it("has about so many requests, and a larger one has the same and others besides", () => {
    let before: readonly number[] = [];
    for (const load of [0.1, 0.5, 1, 1.4, 2, 2.1]) {
      const requests = requestsOf(load);
      assert.ok(Math.abs(requests.length / (7_200 * load) - 1) < 0.1, `${requests.length} of ${load}`);
      const now = new Set(requests);
      assert.ok(before.every((request) => now.has(request)));
      before = requests;
    }
  });

  it("lies within the window, in the order of time", () => {
    const arrivals = loaded({ rows: ROWS, fromS: 10_000, seed: 1 }, 2.5);
    assert.ok(arrivals.every(({ atMs }, index) => atMs >= (arrivals[index - 1]?.atMs ?? 0) && atMs < 7_200_000));
  });
});

describe("a part of a trace", () => {
  it("begins with its first request, or where it is told to", () => {
    const selection = { fromS: 99.5, toS: 102, keep: 1, seed: 1 };
    assert.deepEqual(
      arrivalsIn(ROWS, selection).map(({ atMs, promptTokens }) => [atMs, promptTokens]),
      [
        [0, 100],
        [1_000, 101],
      ],
    );
    assert.equal(arrivalsIn(ROWS, selection, 99)[0]?.atMs, 1_000);
  });

  it("is served by engines of 8B, 14B, 32B, 8B, 14B, and so on", () => {
    const wakes = Array.from(engineFigures(["a", "b", "c", "d", "e", "f"]).values(), ({ wake_s }) => wake_s);
    assert.deepEqual(wakes, [1, 1.6, 3, 1, 1.6, 1]);
  });
});

describe("the command line", () => {
  it("names benchmarks and what they need", () => {
    const { names, options } = readCommand(["policies", "--servegen", "s.csv", "rate", "--seeds=3", "--keep", "0.5"]);
    assert.deepEqual(names, ["policies", "rate"]);
    assert.deepEqual({ ...options }, { servegen: "s.csv", seeds: 3, keep: 0.5 });
  });

  it("is refused in a sentence when it makes no sense", () => {
    assert.throws(
      () => readCommand(["--seeds", "many"]),
      /^Error: --seeds: expected a number of at least 0, found many$/,
    );
    assert.throws(() => readCommand(["--what"]), /--what/);
  });
});
