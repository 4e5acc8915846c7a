/** The length of each wait. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { retryDelayMs } from "./backoff.ts";

const firstTen = Array.from({ length: 10 }, (_, index) => index + 1);

describe("the backoff", () => {
  it("of a failed wake is 2 s, then twice the last, and five minutes at most", () => {
    assert.deepEqual(
      firstTen.map((failures) => retryDelayMs("failed wake", failures) / 1000),
      [2, 4, 8, 16, 32, 64, 128, 256, 300, 300],
    );
  });

  it("of a crash is the same, after one restart at once", () => {
    assert.deepEqual(
      firstTen.map((failures) => retryDelayMs("crash", failures) / 1000),
      [0, 2, 4, 8, 16, 32, 64, 128, 256, 300],
    );
  });

  it("is as long as is said at most", () => {
    assert.deepEqual(
      firstTen.slice(0, 5).map((failures) => retryDelayMs("failed wake", failures, 10_000) / 1000),
      [2, 4, 8, 10, 10],
    );
  });

  it("stays five minutes after any number of failures", () => {
    assert.equal(retryDelayMs("failed wake", 1e9), 300_000);
  });
});
