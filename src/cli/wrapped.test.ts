import { equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { wrapped } from "./wrapped.ts";

describe("wrapped text", () => {
  it("is one line where nobody sets a limit, and where it fits", () => {
    equal(wrapped("one two\nthree", null), "one two three");
    equal(wrapped("one two", 7), "one two");
  });

  it("is broken at blanks, with further lines set in", () => {
    equal(wrapped("one two three four five", 9), "one two\n  three\n  four\n  five");
    equal(wrapped("one two three four five", 13, { first: 1, rest: 4 }), " one two\n    three\n    four five");
  });

  it("cuts a word that is longer than a line", () => {
    equal(wrapped("see /a/very/long/path now", 10), "see\n  /a/very/\n  long/pat\n  h now");
  });

  it("never has a line that is too long, and never loses a character", () => {
    const text = `aa ${"b".repeat(30)} cc dd ${"e".repeat(7)} f`;
    for (let width = 3; width < 60; width += 1) {
      const lines = wrapped(text, width).split("\n");
      for (const line of lines) equal(line.length <= width, true, `${width}: ${line}`);
      equal(lines.join("").replaceAll(" ", ""), text.replaceAll(" ", ""));
    }
  });

  it("lets nothing control the terminal", () => {
    equal(wrapped("a\u001b[2Jb", 80), "a [2Jb");
  });
});
