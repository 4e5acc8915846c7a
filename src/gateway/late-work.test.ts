import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../orchestrator/testing/fake-clock.ts";
import { LateWork, type LateTask } from "./late-work.ts";

/** Late work, and what has been done of it. */
function start(isAwaited: () => boolean = () => false): {
  clock: FakeClock;
  work: LateWork;
  done: string[];
  task: (name: string, more?: () => void) => LateTask;
} {
  const clock = new FakeClock();
  const done: string[] = [];
  const task = (name: string, more?: () => void): LateTask => ({
    finish() {
      done.push(name);
      more?.();
    },
  });
  return { clock, work: new LateWork(clock, isAwaited), done, task };
}

test("What is put off is done a millisecond later, in its order, by one timer", async () => {
  const { clock, work, done, task } = start();
  work.add(task("first"));
  work.add(task("second"));
  assert.deepEqual(done, []);
  await clock.pass(1);
  assert.deepEqual(done, ["first", "second"]);
  work.add(task("third"));
  assert.deepEqual(done, ["first", "second"]);
  await clock.pass(1);
  assert.deepEqual(done, ["first", "second", "third"]);
});

test("Whoever looks finds everything done, and it is not done again", async () => {
  const { clock, work, done, task } = start();
  work.add(task("first"));
  work.catchUp();
  assert.deepEqual(done, ["first"]);
  await clock.pass(1);
  work.catchUp();
  assert.deepEqual(done, ["first"]);
});

test("Where somebody waits nothing is put off, and what was put off before comes first", () => {
  let isAwaited = false;
  const { work, done, task } = start(() => isAwaited);
  work.add(task("first"));
  isAwaited = true;
  work.add(task("second"));
  assert.deepEqual(done, ["first", "second"]);
});

test("What a task puts off is done too, after those that were there", async () => {
  const { clock, work, done, task } = start();
  work.add(task("first", () => work.add(task("third"))));
  work.add(task("second", () => work.catchUp()));
  await clock.pass(1);
  assert.deepEqual(done, ["first", "second", "third"]);
});

test("No more than a few are put off, however busy a lone client keeps the event loop", () => {
  const { work, done, task } = start();
  for (let count = 0; count < 1_000; count += 1) {
    work.add(task(String(count)));
    assert.ok(work.size <= 16);
  }
  work.catchUp();
  assert.deepEqual(
    done,
    Array.from({ length: 1_000 }, (_, at) => String(at)),
  );
});
