import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { durationMsMax, formatDuration, parseDuration, secondsToMs } from "./duration.ts";

describe("parseDuration", () => {
  for (const [text, ms] of [
    ["500ms", 500],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["1h30m", 5_400_000],
    ["1h2m3s4ms", 3_723_004],
    ["1.5s", 1500],
    ["0s", 0],
    ["0.4ms", 0],
    ["576h", durationMsMax],
  ] as const) {
    it(`reads ${text} as ${ms} ms`, () => assert.equal(parseDuration(text), ms));
  }

  for (const text of ["", "30", "-5s", "5 s", "s", "1m1h", "1s1s", "1d", "1e3s", "5S", ".5s", "577h", "30s "]) {
    it(`does not take ${JSON.stringify(text)}`, () => assert.equal(parseDuration(text), undefined));
  }

  it("reads back whatever formatDuration writes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: durationMsMax }), (ms) => parseDuration(formatDuration(ms)) === ms),
    );
  });

  it("gives whole milliseconds within the limit, or undefined, for any text", () => {
    const unitText = fc
      .array(fc.tuple(fc.float({ min: 0, max: 1e9, noNaN: true }), fc.constantFrom("h", "m", "s", "ms", "")))
      .map((parts) => parts.flat().join(""));
    fc.assert(
      fc.property(fc.oneof(fc.string(), unitText), (text) => {
        const ms = parseDuration(text);
        return ms === undefined || (Number.isInteger(ms) && ms >= 0 && ms <= durationMsMax);
      }),
    );
  });
});

describe("secondsToMs", () => {
  it("takes fractions of a second", () => assert.equal(secondsToMs(0.25), 250));
  it("never gives a negative zero", () => assert.ok(Object.is(secondsToMs(-0), 0)));

  for (const seconds of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e9]) {
    it(`does not take ${seconds}`, () => assert.equal(secondsToMs(seconds), undefined));
  }
});

describe("formatDuration", () => {
  it("writes only the units that are needed", () => {
    assert.deepEqual([0, 90_000, 3_600_000, 3_600_001].map(formatDuration), ["0s", "1m30s", "1h", "1h1ms"]);
  });
});
