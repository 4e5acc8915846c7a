import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../ports/clock.ts";
import { Heart, type Listener } from "./heart.ts";

/** A machine that is busy: its timers come when it says so, and not when they are due. */
function busyMachine() {
  const timers: { readonly fire: () => void; isCancelled: boolean }[] = [];
  const time = { nowMs: 0 };
  const clock: Clock = {
    nowMs: () => time.nowMs,
    epochMs: () => time.nowMs,
    after(_, fire) {
      const timer = { fire, isCancelled: false };
      timers.push(timer);
      return {
        cancel() {
          timer.isCancelled = true;
        },
      };
    },
  };
  return { clock, timers, time };
}

test("a beat that is overdue is not put off by another one that is", () => {
  const { clock, timers, time } = busyMachine();
  const heard: string[] = [];
  const heart = new Heart({
    clock,
    intervalMs: 1_000,
    snapshot: () => ({ phase: "running", models: [] }),
    look: (done) => done({ progressOf: () => null, positions: new Map() }),
  });
  const listener = (model: string): Listener => ({ model, place: null, onBeat: () => heard.push(model) });
  heart.add(listener("first"), 0);
  time.nowMs = 1_005;
  heart.add(listener("second"), -500);
  assert.deepEqual(
    timers.map(({ isCancelled }) => isCancelled),
    [false],
  );
  timers[0]?.fire();
  assert.deepEqual(heard, ["first", "second"]);
});
