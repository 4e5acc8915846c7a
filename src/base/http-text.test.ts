import assert from "node:assert/strict";
import { test } from "node:test";
import { headerValue, hexDigit } from "./http-text.ts";

test("The value of a header has no blanks around it, and keeps those within", () => {
  for (const value of ["", "a", "a b", "a\tb", "\u00a0"]) {
    for (const [before, behind] of [
      ["", ""],
      [" ", "\t"],
      ["\t \t", "  "],
    ] as const) {
      const text = `a:${before}${value}${behind}\r\n`;
      assert.equal(headerValue(text, 2, text.length - 2), value);
    }
  }
});

test("Of all bytes, those are hexadecimal digits that everybody takes for one", () => {
  for (let byte = 0; byte < 256; byte += 1) {
    const letter = String.fromCodePoint(byte);
    assert.equal(hexDigit(byte), /[0-9A-Fa-f]/.test(letter) ? Number.parseInt(letter, 16) : -1, letter);
  }
});
