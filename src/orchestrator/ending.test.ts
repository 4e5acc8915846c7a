import assert from "node:assert/strict";
import { test } from "node:test";
import { endProcesses } from "./ending.ts";
import { FakeClock, settled } from "./testing/fake-clock.ts";
import { FakeProcesses, type FakeProcess } from "./testing/fake-processes.ts";

function ending(...family: readonly FakeProcess[]) {
  let crashed = false;
  const processes = new FakeProcesses().add(...family);
  const clock = new FakeClock();
  const parts = {
    leaderPid: 100,
    left: () => processes.members(100),
    leaderLives: () => processes.all.has(100),
    leaderCrashed: () => crashed,
    graceMs: 1_000,
  };
  let left: readonly number[] | null = null;
  const ended = endProcesses(parts, processes, clock).then((pids) => (left = pids));
  const crash = (): void => {
    crashed = true;
    processes.end(100);
  };
  return { processes, clock, ended, left: () => left, crash };
}

test("nobody there, nobody signalled", async () => {
  const { processes, ended } = ending();
  assert.deepEqual(await ended, []);
  assert.deepEqual(processes.signals, []);
});

test("a leader that crashes when it is told to end cleans nothing up: its children are killed at once", async () => {
  const heeds = ["SIGKILL"] as const;
  const { processes, clock, left, crash } = ending({ pid: 100, leader: 100, heeds }, { pid: 101, leader: 100, heeds });
  await clock.pass(5);
  assert.equal(left(), null);
  crash();
  await clock.pass(10);
  assert.deepEqual(left(), []);
  assert.deepEqual(processes.signals, ["SIGTERM 100,101", "SIGKILL 101"]);
});

test("an engine that heeds SIGTERM is not killed, and its children have the time to follow it", async () => {
  const { processes, clock, left } = ending({ pid: 100, leader: 100 }, { pid: 101, leader: 100, heeds: ["SIGKILL"] });
  await clock.pass(500);
  assert.equal(left(), null);
  processes.end(101);
  await clock.pass(100);
  assert.deepEqual(left(), []);
  assert.deepEqual(processes.signals, ["SIGTERM 100,101"]);
});

test("an engine that does not heed SIGTERM is killed when its grace is over, not before", async () => {
  const { processes, clock, left } = ending({ pid: 100, leader: 100, heeds: ["SIGKILL"] });
  await clock.pass(990);
  assert.deepEqual(processes.signals, ["SIGTERM 100"]);
  await clock.pass(500);
  assert.deepEqual(processes.signals, ["SIGTERM 100", "SIGKILL 100"]);
  assert.deepEqual(left(), []);
});

test("children that stay after their leader has ended in order are killed", async () => {
  const { processes, clock, left } = ending({ pid: 100, leader: 100 }, { pid: 101, leader: 100, heeds: ["SIGKILL"] });
  await clock.pass(3_000);
  assert.deepEqual(processes.signals, ["SIGTERM 100,101", "SIGKILL 101"]);
  assert.deepEqual(left(), []);
});

test("children whose leader died by itself are killed at once", async () => {
  const { processes, left } = ending({ pid: 101, leader: 100 });
  await settled();
  assert.deepEqual(processes.signals, ["SIGKILL 101"]);
  assert.deepEqual(left(), []);
});

test("who takes long to die is waited for, and who never does is named in the end", async () => {
  const slow = ending({ pid: 101, leader: 100, heeds: [] });
  await slow.clock.pass(2_000);
  slow.processes.end(101);
  await slow.clock.pass(300);
  assert.deepEqual(slow.left(), []);
  const stuck = ending({ pid: 101, leader: 100, heeds: [] });
  await stuck.clock.pass(10_000);
  assert.deepEqual(stuck.left(), [101]);
});
