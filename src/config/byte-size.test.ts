import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatByteSize, parseByteSize } from "./byte-size.ts";

describe("parseByteSize", () => {
  for (const [text, bytes] of [
    ["512B", 512],
    ["1kB", 1000],
    ["1KiB", 1024],
    ["64MiB", 67_108_864],
    ["64 mib", 67_108_864],
    ["1.5GB", 1_500_000_000],
    ["2GiB", 2_147_483_648],
    ["1.5TiB", 1_649_267_441_664],
    ["2TB", 2_000_000_000_000],
  ] as const) {
    it(`reads ${text} as ${bytes} bytes`, () => assert.equal(parseByteSize(text), bytes));
  }

  for (const text of ["", "64", "MiB", "-1MiB", "64M", "64  MiB", "99999999999GiB", "1constructor"]) {
    it(`does not take ${JSON.stringify(text)}`, () => assert.equal(parseByteSize(text), undefined));
  }
});

describe("formatByteSize", () => {
  for (const [bytes, text] of [
    [0, "0 B"],
    [1023, "1023 B"],
    [2 ** 10, "1 KiB"],
    [1.5 * 2 ** 30, "1.5 GiB"],
    [80e9, "74.5 GiB"],
    [2 ** 41, "2 TiB"],
  ] as const) {
    it(`writes ${bytes} as ${text}`, () => assert.equal(formatByteSize(bytes), text));
  }
});
