import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, type Failure } from "../base/failure.ts";
import { FakeClock } from "../orchestrator/testing/fake-clock.ts";
import { LateWork } from "./late-work.ts";
import { LeaseClaim } from "./lease-claim.ts";
import { LeaseDesk } from "./lease-desk.ts";
import { ToldScheduler } from "./testing/told-scheduler.ts";

const FULL = failure("queue_full", "full");

/** The claim of one request, with what its owner has heard. */
function setUp(): { claim: LeaseClaim; clock: FakeClock; desk: LeaseDesk; scheduler: ToldScheduler; heard: string[] } {
  const clock = new FakeClock();
  const scheduler = new ToldScheduler();
  const directory = { connection: () => null, info: () => assert.fail("not asked for") };
  const desk = new LeaseDesk({ clock, scheduler: () => scheduler, directory });
  const heard: string[] = [];
  const claim = new LeaseClaim(
    { desk, clock, lateWork: new LateWork(clock, () => true) },
    {
      onGrant: () => void heard.push(`granted, ${claim.hasLease}, ${claim.isWaiting}`),
      onRefusal: ({ code }: Failure) => void heard.push(`${code}, ${claim.isWaiting}`),
      onRevoked: ({ code }: Failure) => void heard.push(code),
    },
  );
  return { claim, clock, desk, scheduler, heard };
}

test("A lease that is there at once has cost no time, and goes back once", () => {
  const { claim, desk, scheduler, heard } = setUp();
  scheduler.reply = (waiter) => desk.onGrant(scheduler.lease(waiter));
  assert.equal(claim.ask("m", undefined).kind, "granted");
  assert.deepEqual([claim.hasLease, claim.isWaiting, claim.waitedMs], [true, false, 0]);
  claim.release("served");
  claim.release("failed");
  claim.end("failed");
  assert.equal(claim.hasLease, false);
  assert.deepEqual(scheduler.heard, ["request 1 m", "released 1 served"]);
  assert.deepEqual(heard, []);
});

test("All waits of one request count: with a lease by the scheduler's measure, in vain by the clock", async () => {
  const { claim, clock, desk, scheduler, heard } = setUp();
  claim.ask("m", undefined);
  assert.deepEqual([claim.isWaiting, claim.hasLease], [true, false]);
  await clock.pass(70);
  scheduler.speak(() => desk.onGrant(scheduler.lease(1, 60)));
  await Promise.resolve();
  assert.equal(claim.waitedMs, 60);
  claim.release("failed");
  claim.ask("m", undefined);
  await clock.pass(5);
  scheduler.speak(() => desk.onRefuse(2, FULL));
  await Promise.resolve();
  assert.equal(claim.waitedMs, 65);
  claim.ask("m", undefined);
  await clock.pass(3);
  claim.end("failed");
  await clock.pass(100);
  claim.end("failed");
  assert.equal(claim.waitedMs, 68);
  assert.deepEqual(heard, ["granted, true, false", "queue_full, false"]);
  assert.deepEqual(scheduler.heard.slice(-2), ["request 3 m", "abandoned 3"]);
});

test("A lease that is taken back is still to be given back", async () => {
  const { claim, desk, scheduler, heard } = setUp();
  const lease = scheduler.lease(1);
  scheduler.reply = () => desk.onGrant(lease);
  claim.ask("m", undefined);
  scheduler.speak(() => desk.onRevoke(lease, FULL));
  await Promise.resolve();
  assert.deepEqual([heard, claim.hasLease], [["queue_full"], true]);
  claim.end("abandoned");
  assert.deepEqual(scheduler.heard, ["request 1 m", "released 1 abandoned"]);
});
