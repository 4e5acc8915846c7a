import assert from "node:assert/strict";
import { test } from "node:test";
import { runCommand } from "./command-run.ts";
import { FakeClock } from "./testing/fake-clock.ts";
import { FakeProcesses } from "./testing/fake-processes.ts";

const CHILD = { pid: 101, leader: 100 };

/** A command that runs, with a child of its own, until the test says something else. */
function setUp(signal?: AbortSignal) {
  const clock = new FakeClock();
  const processes = new FakeProcesses();
  processes.family = () => [{ pid: 100, leader: 100 }, CHILD];
  const run = { command: ["stop", "it"], env: {}, outputFile: null, timeoutMs: 3_000 };
  const result = runCommand(signal === undefined ? run : { ...run, signal }, processes, clock);
  return { clock, processes, result };
}

test("A command that ends says how, and nobody is killed", async () => {
  for (const [status, said] of [
    [{ exitCode: 0, signal: null }, null],
    [{ exitCode: 3, signal: null }, "ended with code 3"],
    [{ exitCode: null, signal: "SIGSEGV" }, "was ended by SIGSEGV"],
  ] as const) {
    const { clock, processes, result } = setUp();
    await clock.pass(2_999);
    processes.end(100, status);
    assert.equal(await result, said);
    assert.deepEqual([processes.signals, clock.pending], [[], 0]);
  }
});

test("One that takes too long is killed with its children", async () => {
  const { clock, processes, result } = setUp();
  await clock.pass(3_000);
  assert.equal(await result, "did not end within 3 s");
  assert.deepEqual([...processes.all.keys()], []);
});

test("One that is not wanted any more is killed, and rejects", async () => {
  const wanted = new AbortController();
  const { clock, processes, result } = setUp(wanted.signal);
  await clock.pass(1);
  wanted.abort(new Error("enough"));
  await assert.rejects(result, { message: "enough" });
  assert.deepEqual([[...processes.all.keys()], clock.pending], [[], 0]);
});

test("One that cannot be started says so", async () => {
  const processes = new FakeProcesses();
  processes.spawn = () => Promise.reject(new Error("ENOENT"));
  const run = { command: ["nowhere"], env: {}, outputFile: null, timeoutMs: 1 };
  assert.equal(await runCommand(run, processes, new FakeClock()), "cannot be run: ENOENT");
});
