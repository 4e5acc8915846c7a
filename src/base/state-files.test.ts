import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { engineLogFile, fileNameFor } from "./state-files.ts";

test("a name becomes a file name that stays in its folder and tells the name", () => {
  assert.equal(fileNameFor("org/model-1.5_b"), "org%2Fmodel-1.5_b");
  assert.equal(basename(engineLogFile("/state", "../../etc/passwd")), "..%2F..%2Fetc%2Fpasswd.log");
});

test("the longest names have a file name that every file system takes, with any ending, each its own", () => {
  const names = ["模".repeat(128), `${"模".repeat(127)}型`, "/".repeat(128), "🦙".repeat(64), "a".repeat(128)];
  const files = names.map(fileNameFor);
  for (const file of files) assert.ok(Buffer.byteLength(`${file}.json.new`) <= 255, `${file} is too long`);
  assert.equal(new Set(files).size, names.length);
  assert.equal(files.at(-1), "a".repeat(128), "a name that fits is left as it is");
});
