import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { lockStateDir } from "./instance-lock.ts";
import { systemProcesses } from "./processes.ts";

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "llmux-lock-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const lock = (folder: string) => lockStateDir(folder, systemProcesses);

test("a folder is one llmux's until it is released, and nothing is left in it then", (t) => {
  const folder = join(folderFor(t), "made", "on the way");
  const held = lock(folder);
  assert.throws(() => lock(folder), new RegExp(`another llmux \\(pid ${process.pid}\\) runs with state_dir ${folder}`));
  held.release();
  assert.deepEqual(readdirSync(folder), []);
  lock(folder).release();
});

test("the lock of a process that is gone, or whose pid somebody else has, is no lock; half of one neither", (t) => {
  const folder = folderFor(t);
  const identity = systemProcesses.identify(process.pid);
  const stale = [
    JSON.stringify({ ...identity, pid: 2 ** 22 + 1 }),
    JSON.stringify({ ...identity, startTime: "another boot:1" }),
    "",
    "null",
    '{"pid":',
  ];
  for (const content of stale) {
    writeFileSync(join(folder, "llmux.lock"), content);
    lock(folder).release();
    assert.deepEqual(readdirSync(folder), [], content);
  }
});

test("a lock that has become another one's stays when the first is released", (t) => {
  const folder = folderFor(t);
  const held = lock(folder);
  writeFileSync(join(folder, "llmux.lock"), "another one's");
  held.release();
  assert.equal(readFileSync(join(folder, "llmux.lock"), "utf8"), "another one's");
});

test("a folder that cannot be used is named, with the reason", (t) => {
  const folder = folderFor(t);
  mkdirSync(join(folder, "llmux.lock"));
  assert.throws(() => lock(folder), /state_dir .* cannot be used: EISDIR/);
  assert.throws(() => lock("/dev/null/state"), /state_dir \/dev\/null\/state cannot be used: ENOTDIR/);
});

/** Takes the lock again and again, and leaves a mark in the folder while it has it. */
const RIVAL = `
  const [folder, rounds] = process.argv.slice(1);
  const { lockStateDir } = await import(${JSON.stringify(new URL("instance-lock.ts", import.meta.url).href)});
  const { systemProcesses } = await import(${JSON.stringify(new URL("processes.ts", import.meta.url).href)});
  const { rmSync, writeFileSync } = await import("node:fs");
  let taken = 0;
  for (let round = 0; round < Number(rounds); round += 1) {
    let lock;
    try { lock = lockStateDir(folder, systemProcesses); } catch (error) {
      if (!error.message.startsWith("another llmux")) throw error;
      continue;
    }
    taken += 1;
    writeFileSync(folder + "/mark", "", { flag: "wx" });
    rmSync(folder + "/mark");
    lock.release();
  }
  console.log(taken);`;

test("of several that start at the same moment one at most has the folder", { timeout: 60_000 }, async (t) => {
  const folder = folderFor(t);
  const rivals = Array.from({ length: 3 }, () =>
    spawn(process.execPath, ["--input-type=module", "-e", RIVAL, folder, "1500"], {
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
  t.after(() => rivals.forEach((rival) => rival.kill("SIGKILL")));
  const results = await Promise.all(
    rivals.map(async (rival) => {
      const [taken, complaints] = await Promise.all([text(rival.stdout), text(rival.stderr), once(rival, "exit")]);
      assert.equal(complaints, "");
      return Number(taken);
    }),
  );
  assert.ok(
    results.every((taken) => taken > 0),
    `${results.join()} times taken`,
  );
});
