import assert from "node:assert/strict";
import { test } from "node:test";
import { splitCommandLine } from "./command-line.ts";

test("a command line is split at blanks and line ends, with quotes and backslashes as in a shell", () => {
  const rows: readonly (readonly [string, readonly string[] | undefined])[] = [
    ["a b  c", ["a", "b", "c"]],
    [" a\n  b\t", ["a", "b"]],
    ["a 'b c' \"d e\"", ["a", "b c", "d e"]],
    ["a'b'c \"\" ''", ["abc", "", ""]],
    ['a\\ b "c\\"d" \'\\\'', ["a b", 'c"d', "\\"]],
    ['"a\\b"', ["a\\b"]],
    ["a \\\n  b", ["a", "b"]],
    ["# first\na b\n  # second\nc#d", ["a", "b", "c#d"]],
    ["$HOME ${PORT} *", ["$HOME", "${PORT}", "*"]],
    ["", []],
    ["a 'b", undefined],
    ['a "b', undefined],
  ];
  for (const [text, words] of rows) assert.deepEqual(splitCommandLine(text), words, text);
});
