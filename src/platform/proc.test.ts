import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { allStats, hasMarker, readCommandLine, readExecutable, readStat } from "./proc.ts";

const NOBODY = 2 ** 22 + 1;

async function sleeper(t: TestContext, program: string, env: Record<string, string>): Promise<number> {
  const child = spawn(program, ["30"], { env, detached: true, stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  return child.pid ?? 0;
}

test("a process whose name has blanks and parentheses is read like any other", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "llmux-proc-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, "a) S 1 (b");
  copyFileSync("/bin/sleep", program);
  const pid = await sleeper(t, program, {});
  const stat = readStat(pid);
  assert.equal(stat?.group, pid);
  assert.equal(stat.session, pid);
  assert.match(stat.state, /^[RSD]$/);
  assert.ok(Number(stat.startTicks) >= Number(readStat(process.pid)?.startTicks));
  assert.equal(readCommandLine(pid), `${program} 30`);
  assert.equal(readExecutable(pid), program);
});

test("a marker is a whole variable, not a part of one", async (t) => {
  const pid = await sleeper(t, "/bin/sleep", { FIRST: "1", LLMUX_ENGINE: "abc", LAST: "2" });
  assert.equal(hasMarker(pid, "LLMUX_ENGINE=abc"), true);
  assert.equal(hasMarker(pid, "LLMUX_ENGINE=ab"), false);
  assert.equal(hasMarker(pid, "ENGINE=abc"), false);
});

test("of a process that is not there nothing is said, and nothing is thrown", () => {
  assert.equal(readStat(NOBODY), null);
  assert.equal(readCommandLine(NOBODY), null);
  assert.equal(readExecutable(NOBODY), "");
  assert.equal(hasMarker(NOBODY, "A=b"), false);
});

test("every process of the machine is there, ourselves and the first one included", () => {
  const pids = new Set(allStats().map(({ pid }) => pid));
  assert.ok(pids.has(process.pid));
  assert.ok(pids.has(process.ppid));
  assert.ok(pids.has(1));
});
