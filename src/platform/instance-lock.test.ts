import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { lockStateDir } from "./instance-lock.ts";
import { systemProcesses } from "./processes.ts";

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-lock-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const lock = (stateDir: string) => lockStateDir(stateDir, systemProcesses);

describe("the lock of a state folder", () => {
  it("makes the folder, with its parents, and leaves it empty when it is released", () => {
    const stateDir = join(folder, "of", "its", "own");
    const held = lock(stateDir);
    assert.deepEqual(readdirSync(stateDir), ["llmux.lock"]);
    held.release();
    assert.deepEqual(readdirSync(stateDir), []);
  });

  it("is refused while a living process has it, by its pid", () => {
    const held = lock(folder);
    assert.throws(
      () => lock(folder),
      new RegExp(`another llmux \\(pid ${process.pid}\\) runs with state_dir ${folder}`),
    );
    held.release();
    lock(folder).release();
  });

  for (const [what, text] of [
    ["a process that has ended", '{"pid":4194304,"startTime":"some-boot:17"}'],
    ["an earlier process of the same pid", `{"pid":${process.pid},"startTime":"another-boot:17"}`],
    ["nobody: the disk was full", ""],
  ] as const) {
    it(`is taken over from ${what}`, () => {
      writeFileSync(join(folder, "llmux.lock"), text);
      lock(folder).release();
    });
  }

  it("says which folder cannot be used", () => {
    writeFileSync(join(folder, "file"), "");
    assert.throws(() => lock(join(folder, "file")), /^Error: state_dir \/.*\/file cannot be used: ENOTDIR/);
    assert.throws(() => lock(join(folder, "file", "below")), /cannot be used: ENOTDIR/);
  });

  it("gives up where the system has no room for folders, and does not try for ever", () => {
    assert.throws(() => lock("/proc/x"), /state_dir \/proc\/x cannot be used: ENOENT/);
    assert.throws(() => lock("/proc/x/y"), /cannot be used: ENOENT/);
  });
});
