import assert from "node:assert/strict";
import { test } from "node:test";
import { Alarm } from "./alarm.ts";
import type { Clock } from "./clock.ts";

/** A machine that is busy: its timers come when the test says so, and not when they are due. */
function busyMachine() {
  const running = new Map<() => void, number>();
  const time = { nowMs: 0, started: 0 };
  const clock: Clock = {
    nowMs: () => time.nowMs,
    epochMs: () => time.nowMs,
    after(delayMs, fire) {
      running.set(fire, time.nowMs + delayMs);
      time.started += 1;
      return { cancel: () => void running.delete(fire) };
    },
  };
  const rings: number[] = [];
  const alarm = new Alarm(clock, () => rings.push(time.nowMs));
  const pass = (toMs: number): void => {
    time.nowMs = toMs;
    for (const [fire, atMs] of running) if (atMs <= toMs && running.delete(fire)) fire();
  };
  return { alarm, time, rings, pass };
}

test("it goes off once, at the last time that it was set to", () => {
  const { alarm, rings, pass } = busyMachine();
  alarm.set(100);
  alarm.set(50);
  alarm.set(80);
  pass(60);
  assert.deepEqual(rings, []);
  pass(80);
  pass(200);
  assert.deepEqual(rings, [80]);
  alarm.set(150);
  pass(200);
  assert.deepEqual(rings, [80, 200]);
});

test("one that is taken back does not go off", () => {
  const { alarm, rings, pass } = busyMachine();
  alarm.set(100);
  alarm.set(null);
  pass(200);
  assert.deepEqual(rings, []);
});

test("it can be set to an earlier time only", () => {
  const { alarm, rings, pass } = busyMachine();
  alarm.setEarlier(100);
  alarm.setEarlier(150);
  pass(100);
  alarm.setEarlier(300);
  alarm.setEarlier(250);
  pass(250);
  pass(400);
  assert.deepEqual(rings, [100, 250]);
});

test("one that is overdue is not put off by another time that has passed", () => {
  const { alarm, time, rings, pass } = busyMachine();
  alarm.set(100);
  time.nowMs = 105;
  alarm.set(103);
  alarm.setEarlier(40);
  assert.equal(time.started, 1);
  pass(106);
  assert.deepEqual(rings, [106]);
});

test("one that is overdue does not go off when it is set to a time to come", () => {
  const { alarm, time, rings, pass } = busyMachine();
  alarm.set(100);
  time.nowMs = 105;
  alarm.set(110);
  pass(106);
  assert.deepEqual(rings, []);
  pass(110);
  assert.deepEqual(rings, [110]);
});
