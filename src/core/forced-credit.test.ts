import assert from "node:assert/strict";
import { test } from "node:test";
import { ForcedCredit } from "./forced-credit.ts";

test("credit begins full, is spent, and fills with its share of time up to the cap", () => {
  const credit = new ForcedCredit({ share: 0.1, capMs: 20_000 });
  assert.equal(credit.available(["0"], 5_000), 20_000);
  credit.spend(["0"], 15_000, 5_000);
  assert.equal(credit.available(["0"], 5_000), 5_000);
  assert.equal(credit.available(["0"], 35_000), 8_000);
  assert.equal(credit.available(["0"], 1_000_000), 20_000);
});

test("a switch on several devices has what the poorest of them has, and all of them pay", () => {
  const credit = new ForcedCredit({ share: 0, capMs: 10 });
  credit.spend(["0"], 4, 0);
  assert.equal(credit.available(["0", "1"], 0), 6);
  credit.spend(["0", "1"], 6, 0);
  assert.equal(credit.available(["0"], 0), 0);
  assert.equal(credit.available(["1"], 0), 4);
});
