import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { until } from "../../test/support/until.ts";
import type { EngineProcess } from "../ports/process-host.ts";
import { systemProcesses } from "./processes.ts";

const MARKER = `LLMUX_ENGINE=processes-test-${process.pid}`;
const [NAME = "", VALUE = ""] = MARKER.split("=");

/** A shell in a session of its own, ended after the test with all that it has started. */
async function start(t: TestContext, script: string, outputFile: string | null = null): Promise<EngineProcess> {
  const env = { PATH: process.env["PATH"] ?? "", [NAME]: VALUE };
  const leader = await systemProcesses.spawn({ command: ["sh", "-c", script], env, outputFile });
  t.after(async () => {
    const left = systemProcesses.relatives({ leaderPid: leader.pid, marker: MARKER, since: null });
    systemProcesses.signal(leader.pid, left, "SIGKILL");
    await leader.exited;
  });
  return leader;
}

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "llmux-processes-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("a process leads a group and a session of its own, and its children are members of both", async (t) => {
  const { pid } = await start(t, "sleep 30 & sleep 30");
  const members = await until("both children run", () => {
    const found = systemProcesses.members(pid);
    return found.length === 3 && found;
  });
  assert.ok(members.includes(pid));
  assert.equal(systemProcesses.groupExists(pid), true);
});

test("a child that has left the session is a relative by its environment, and is signalled too", async (t) => {
  const leader = await start(t, "setsid sleep 30 & exec sleep 30");
  const since = systemProcesses.identify(leader.pid)?.startTime ?? null;
  const relatives = await until("the child has left", () => {
    const found = systemProcesses.relatives({ leaderPid: leader.pid, marker: MARKER, since });
    return found.length === 2 && systemProcesses.members(leader.pid).length === 1 && found;
  });
  systemProcesses.signal(leader.pid, relatives, "SIGTERM");
  assert.deepEqual(await leader.exited, { exitCode: null, signal: "SIGTERM" });
  await until("nobody is left", () => systemProcesses.marked(MARKER).length === 0);
  assert.equal(systemProcesses.groupExists(leader.pid), false);
});

test("nobody who was there before the engine is its relative by its environment", async (t) => {
  const older = await start(t, "sleep 30");
  const younger = await until("a later tick has begun", async () => {
    const next = await start(t, "sleep 30");
    return systemProcesses.identify(next.pid)?.startTime !== systemProcesses.identify(older.pid)?.startTime && next;
  });
  const since = systemProcesses.identify(younger.pid)?.startTime ?? null;
  const relatives = systemProcesses.relatives({ leaderPid: younger.pid, marker: MARKER, since });
  assert.ok(relatives.includes(younger.pid));
  assert.ok(!relatives.includes(older.pid));
});

test("a process that ended and was not reaped is nobody any more", async (t) => {
  const { pid } = await start(t, "sleep 0 & exec sleep 30");
  const zombie = await until("the child has ended", () =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .split(" ")
      .filter((text) => text !== "")
      .map(Number)
      .find((child) => readFileSync(`/proc/${child}/stat`, "utf8").includes(") Z ")),
  );
  assert.equal(systemProcesses.identify(zombie), null);
  assert.deepEqual(systemProcesses.members(pid), [pid]);
});

test("a program that is not there is a rejection, and one without a file for its output runs all the same", async (t) => {
  const request = { command: ["/no/such/program"], env: {}, outputFile: null };
  await assert.rejects(systemProcesses.spawn(request), /ENOENT/);
  const { exited } = await start(t, "exit 3", "/dev/null/no-folder/log");
  assert.deepEqual(await exited, { exitCode: 3, signal: null });
});

test("output of both kinds is appended to what the file has", async (t) => {
  const file = join(folderFor(t), "new folder", "engine.log");
  for (const word of ["one", "two"]) await (await start(t, `echo ${word}; echo ${word} >&2`, file)).exited;
  assert.equal(readFileSync(file, "utf8"), "one\none\ntwo\ntwo\n");
});

test("a process that we may not signal is passed over like one that is gone", async (t) => {
  const { getuid, seteuid } = process;
  assert.ok(getuid !== undefined && seteuid !== undefined);
  let target = 1;
  if (getuid.call(process) === 0) {
    const stranger: ChildProcess = spawn("sleep", ["30"], { uid: 65_533, stdio: "ignore" });
    await once(stranger, "spawn");
    target = stranger.pid ?? 0;
    seteuid.call(process, 65_534);
    t.after(() => {
      seteuid.call(process, 0);
      stranger.kill("SIGKILL");
    });
  }
  assert.throws(() => process.kill(target, "SIGTERM"), { code: "EPERM" });
  assert.doesNotThrow(() => systemProcesses.signal(2 ** 22, [target], "SIGTERM"));
});

test("group 0, which is how the system calls our own, is nobody's engine", () => {
  assert.equal(systemProcesses.groupExists(0), false);
});

test("of a pid that somebody else has by now nobody is a relative, and of another boot of the machine neither", async (t) => {
  const { pid } = await start(t, "sleep 30 & sleep 30");
  await until("both children run", () => systemProcesses.members(pid).length === 3);
  const startTime = systemProcesses.identify(pid)?.startTime ?? "";
  const [boot = "", ticks = ""] = startTime.split(":");
  const relatives = (since: string) => systemProcesses.relatives({ leaderPid: pid, marker: "NO=BODY", since });
  assert.equal(relatives(startTime).length, 3);
  assert.deepEqual(relatives(`${boot}:${Number(ticks) - 1}`), []);
  assert.deepEqual(relatives(`another${boot}:${ticks}`), []);
});

test("an engine that does not end does not keep us from ending", { timeout: 20_000 }, async () => {
  const source = new URL("processes.ts", import.meta.url);
  const script = `const { systemProcesses } = await import(${JSON.stringify(source.href)});
    const engine = await systemProcesses.spawn({ command: ["sleep", "60"], env: process.env, outputFile: null });
    process.stdout.write(String(engine.pid));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  try {
    const [exitCode] = (await once(child, "close")) as [number];
    assert.equal(exitCode, 0);
  } finally {
    systemProcesses.signal(Number(output), [Number(output)], "SIGKILL");
    child.kill("SIGKILL");
  }
});
