import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { RecordingLog } from "../../test/support/recording-log.ts";
import type { HttpClient } from "../ports/http-client.ts";
import { EngineRecords, type EngineRecord } from "./engine-record.ts";
import { endLeftovers } from "./leftovers.ts";
import { FakeClock } from "./testing/fake-clock.ts";
import { FakeProcesses } from "./testing/fake-processes.ts";

const MARKER = "LLMUX_ENGINE=1";

const RECORD: EngineRecord = {
  model: "m",
  marker: MARKER,
  port: 8_001,
  command: ["vllm", "serve"],
  pid: 100,
  startTime: "boot:100",
  commandLines: ["engine 100"],
  executable: "/bin/engine",
};

function stage(t: TestContext, record: EngineRecord = RECORD) {
  const folder = mkdtempSync(join(tmpdir(), "llmux-leftovers-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const records = new EngineRecords(folder);
  records.write(record);
  const processes = new FakeProcesses();
  const clock = new FakeClock();
  const log = new RecordingLog();
  const http: HttpClient = { call: () => Promise.reject(new Error("refused")) };
  const end = async (): Promise<string> => {
    const ended = endLeftovers({ records, processes, clock, log, http, environment: {}, graceMs: 1_000 }).then(
      () => "ended",
      (error: Error) => error.message,
    );
    await clock.pass(20_000);
    return ended;
  };
  return { records, processes, log, end };
}

test("an engine that is still the recorded one is told to end, and its record goes", async (t) => {
  const { records, processes, end } = stage(t);
  processes.add({ pid: 100, leader: 100, marker: MARKER }, { pid: 101, leader: 100 });
  assert.equal(await end(), "ended");
  assert.deepEqual(processes.signals, ["SIGTERM 100,101"]);
  assert.deepEqual(records.readAll().records, []);
});

test("a process with its pid that was started at another time, or runs something else, is left alone", async (t) => {
  for (const stranger of [{ startTime: "boot:7" }, { commandLine: "somebody else's" }]) {
    const { records, processes, end } = stage(t);
    processes.add({ pid: 100, leader: 100, ...stranger }, { pid: 101, leader: 100 });
    assert.equal(await end(), "ended");
    assert.deepEqual(processes.signals, []);
    assert.deepEqual(records.readAll().records, []);
  }
});

test("a leader that has rewritten its arguments is known by its environment", async (t) => {
  const { processes, end } = stage(t);
  processes.add({ pid: 100, leader: 100, marker: MARKER, commandLine: "a title" });
  assert.equal(await end(), "ended");
  assert.deepEqual(processes.signals, ["SIGTERM 100"]);
});

test("what outlived its leader is killed: by its environment anywhere, in the session by its program", async (t) => {
  const { processes, end } = stage(t);
  processes.add(
    { pid: 101, leader: 100 },
    { pid: 102, leader: 102, marker: MARKER },
    { pid: 103, leader: 100, executable: "/bin/other" },
  );
  assert.equal(await end(), "ended");
  assert.deepEqual([...processes.all.keys()], [103]);
  assert.ok(processes.signals.every((signal) => signal.startsWith("SIGKILL")));
});

test("where no program was recorded nobody is known by it", async (t) => {
  const { processes, end } = stage(t, { ...RECORD, executable: "" });
  processes.add({ pid: 101, leader: 100, executable: "" });
  assert.equal(await end(), "ended");
  assert.deepEqual(processes.signals, []);
});

test("the record of an earlier boot of the machine points to nobody", async (t) => {
  const { records, processes, end } = stage(t, { ...RECORD, startTime: "earlier:100" });
  processes.add({ pid: 101, leader: 100 });
  assert.equal(await end(), "ended");
  assert.deepEqual(processes.signals, []);
  assert.deepEqual(records.readAll().records, []);
});

test("a start that was cut off before its pid was known is found by its environment", async (t) => {
  const { processes, end } = stage(t, { ...RECORD, pid: null, startTime: null, commandLines: [], executable: "" });
  processes.add({ pid: 200, leader: 200, marker: MARKER });
  assert.equal(await end(), "ended");
  assert.equal(processes.all.size, 0);
});

test("an engine that nobody can end is named, and its record stays", async (t) => {
  const { records, processes, end } = stage(t);
  processes.add({ pid: 100, leader: 100, marker: MARKER, heeds: [] });
  assert.match(await end(), /the engine of m .*pids 100.* cannot be ended/);
  assert.equal(records.readAll().records.length, 1);
});
