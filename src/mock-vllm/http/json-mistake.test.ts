import assert from "node:assert/strict";
import { test } from "node:test";
import { findJsonMistake } from "./json-mistake.ts";

// What Python 3.11 says of these.
const mistakes: readonly (readonly [string, string, number])[] = [
  ['{"model":"tiny-a",', "Expecting property name enclosed in double quotes", 18],
  ["{", "Expecting property name enclosed in double quotes", 1],
  ['{"a":1,}', "Expecting property name enclosed in double quotes", 7],
  ["{a:1}", "Expecting property name enclosed in double quotes", 1],
  ['{"a":tru}', "Expecting value", 5],
  ['{"a":[1,]}', "Expecting value", 8],
  ["   ", "Expecting value", 3],
  ["x", "Expecting value", 0],
  ["-", "Expecting value", 0],
  ['{"a":1 "b":2}', "Expecting ',' delimiter", 7],
  ["[1 2]", "Expecting ',' delimiter", 3],
  ["[1", "Expecting ',' delimiter", 2],
  ['{"a" 1}', "Expecting ':' delimiter", 5],
  ['{"a":"\u0001"}', "Invalid control character at", 6],
  ['{"a":"b', "Unterminated string starting at", 5],
  ['{"a":"b\\', "Unterminated string starting at", 5],
  ['{"a":"\\q"}', "Invalid \\escape", 6],
  ['{"a":"\\u12"}', "Invalid \\uXXXX escape", 7],
  ['{"a":1} x', "Extra data", 8],
  ["01", "Extra data", 1],
  ["\u{1F642}", "Expecting value", 0],
  ['"\u{1F642}" x', "Extra data", 4],
];

test("a mistake in JSON is found where Python finds it, in Python's words", () => {
  for (const [text, message, at] of mistakes) assert.deepEqual(findJsonMistake(text), { message, at }, text);
});

test("text without a mistake has none", () => {
  const texts = ['{"a":[1,-2.5e3,true,false,null,"\\u00e4\\n",{}],"b":{"c":[]}} ', "5", '"x"', " [ ] ", "NaN"];
  for (const text of texts) assert.equal(findJsonMistake(text), undefined, text);
});
