import { equal } from "node:assert/strict";
import { it } from "node:test";
import { duration } from "./duration-text.ts";

it("durations are rounded to what the eye can take in", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0ms"],
    [0.44, "0.4ms"],
    [9.94, "9.9ms"],
    [12.4, "12ms"],
    [999, "999ms"],
    [999.6, "1s"],
    [1_234, "1.2s"],
    [59_949, "59.9s"],
    [59_960, "1m00s"],
    [192_000, "3m12s"],
    [3_600_000, "1h00m"],
    [18_240_000, "5h04m"],
    [183_600_000, "2d3h"],
    [-1_500, "-1.5s"],
    [Number.NaN, "?"],
  ];
  for (const [ms, text] of cases) equal(duration(ms), text);
});
