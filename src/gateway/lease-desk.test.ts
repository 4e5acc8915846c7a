import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, type Failure } from "../base/failure.ts";
import { LeaseDesk, type Applicant, type Grant } from "./lease-desk.ts";
import { realClock } from "./testing/stage.ts";
import { ToldScheduler } from "./testing/told-scheduler.ts";

class Recorder implements Applicant {
  readonly heard: string[] = [];
  grant: Grant | null = null;

  onGrant(grant: Grant): void {
    this.grant = grant;
    this.heard.push("granted");
  }

  onRefusal({ code }: Failure): void {
    this.heard.push(code);
  }

  onRevoked({ code }: Failure): void {
    this.heard.push(`revoked: ${code}`);
  }
}

const CRASH = failure("engine_crashed", "gone");

function setUp(): { desk: LeaseDesk; scheduler: ToldScheduler; applicant: Recorder } {
  const scheduler = new ToldScheduler();
  const directory = { connection: () => null, info: () => assert.fail("not asked for") };
  const desk = new LeaseDesk({ clock: realClock, scheduler: () => scheduler, directory });
  return { desk, scheduler, applicant: new Recorder() };
}

const microtasks = (): Promise<void> => Promise.resolve();

test("A model that is awake is granted in the same step, without a callback", async () => {
  const { desk, scheduler, applicant } = setUp();
  scheduler.reply = (waiter) => desk.onGrant(scheduler.lease(waiter));
  const answer = desk.request("m", applicant);
  assert.equal(answer.kind, "granted");
  assert.equal(desk.leasesOut, 1);
  await microtasks();
  assert.deepEqual(applicant.heard, []);
  assert.ok(answer.kind === "granted");
  answer.release("served");
  assert.equal(desk.leasesOut, 0);
  assert.deepEqual(scheduler.heard, ["request 1 m", "released 1 served"]);
  assert.throws(() => answer.release("served"), /released twice/);
});

test("A refusal in the same step is an answer too", () => {
  const { desk, scheduler, applicant } = setUp();
  scheduler.reply = (waiter) => desk.onRefuse(waiter, CRASH);
  assert.deepEqual(desk.request("m", applicant), { kind: "refused", failure: CRASH });
  assert.equal(desk.waiting, 0);
});

test("Those that wait hear of their grant or refusal when the scheduler has finished speaking", async () => {
  const { desk, scheduler, applicant } = setUp();
  const other = new Recorder();
  assert.equal(desk.request("m", applicant).kind, "waiting");
  assert.equal(desk.request("m", other).kind, "waiting");
  assert.equal(desk.waiting, 2);
  scheduler.speak(() => {
    desk.onGrant(scheduler.lease(1));
    desk.onRefuse(2, CRASH);
    assert.deepEqual(applicant.heard, []);
  });
  await microtasks();
  assert.deepEqual(applicant.heard, ["granted"]);
  assert.deepEqual(other.heard, ["engine_crashed"]);
  assert.equal(desk.waiting, 0);
  applicant.grant?.release("served");
});

test("A request that others are answered during does not get their answers", async () => {
  const { desk, scheduler, applicant } = setUp();
  desk.request("m", applicant);
  scheduler.reply = () => desk.onGrant(scheduler.lease(1));
  const answer = desk.request("m", new Recorder());
  assert.equal(answer.kind, "waiting");
  await microtasks();
  assert.deepEqual(applicant.heard, ["granted"]);
});

test("Who leaves while waiting is abandoned once", () => {
  const { desk, scheduler, applicant } = setUp();
  const waiting = desk.request("m", applicant);
  assert.ok(waiting.kind === "waiting");
  waiting.leave();
  waiting.leave();
  assert.deepEqual(scheduler.heard, ["request 1 m", "abandoned 1"]);
  assert.equal(desk.waiting, 0);
});

test("Who leaves at the moment of the grant gives the lease back and never hears of it", async () => {
  const { desk, scheduler, applicant } = setUp();
  const waiting = desk.request("m", applicant);
  assert.ok(waiting.kind === "waiting");
  scheduler.speak(() => desk.onGrant(scheduler.lease(1)));
  waiting.leave();
  await microtasks();
  assert.deepEqual(applicant.heard, []);
  assert.deepEqual(scheduler.heard, ["request 1 m", "released 1 abandoned"]);
});

test("Who leaves at the moment of the refusal never hears of it", async () => {
  const { desk, scheduler, applicant } = setUp();
  const waiting = desk.request("m", applicant);
  assert.ok(waiting.kind === "waiting");
  scheduler.speak(() => desk.onRefuse(1, CRASH));
  waiting.leave();
  await microtasks();
  assert.deepEqual(applicant.heard, []);
  assert.deepEqual(scheduler.heard, ["request 1 m"]);
});

test("A revocation comes after the grant, also when the scheduler says both in one breath", async () => {
  const { desk, scheduler, applicant } = setUp();
  desk.request("m", applicant);
  scheduler.speak(() => {
    const lease = scheduler.lease(1);
    desk.onGrant(lease);
    desk.onRevoke(lease, CRASH);
  });
  await microtasks();
  assert.deepEqual(applicant.heard, ["granted", "revoked: engine_crashed"]);
});

test("A revocation that meets a release does nothing", async () => {
  const { desk, scheduler, applicant } = setUp();
  const lease = scheduler.lease(1);
  scheduler.reply = () => desk.onGrant(lease);
  const grant = desk.request("m", applicant);
  assert.ok(grant.kind === "granted");
  scheduler.speak(() => desk.onRevoke(lease, CRASH));
  grant.release("served");
  await microtasks();
  assert.deepEqual(applicant.heard, []);
});
