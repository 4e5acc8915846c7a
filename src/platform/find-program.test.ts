import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findProgram } from "./find-program.ts";

test("a program is found by path or on the PATH, and neither folders nor plain files are programs", () => {
  const folder = mkdtempSync(join(tmpdir(), "llmux-program-"));
  writeFileSync(join(folder, "vllm"), "#!/bin/sh\n");
  chmodSync(join(folder, "vllm"), 0o755);
  writeFileSync(join(folder, "plain"), "");
  mkdirSync(join(folder, "folder"));
  const path = `/no/such/folder:${folder}`;
  assert.equal(findProgram("vllm", path), join(folder, "vllm"));
  assert.equal(findProgram(join(folder, "vllm"), ""), join(folder, "vllm"));
  for (const name of ["plain", "folder", "nothing"]) {
    assert.equal(findProgram(name, path), null);
    assert.equal(findProgram(join(folder, name), path), null);
  }
  assert.equal(findProgram("vllm", undefined), null);
  rmSync(folder, { recursive: true });
});
