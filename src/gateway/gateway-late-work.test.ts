/** What the gateway puts off until its client has the answer; in most of these tests, the time for it never comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createKey, hashOfKey } from "../base/api-key.ts";
import type { Clock } from "../ports/clock.ts";
import { ask, chat, open, RawClient } from "./testing/client.ts";
import { createStage, realClock, until } from "./testing/stage.ts";

const KEY = createKey();
const LATE_MS = 1;

/** A clock whose shortest timers fire when `pass` is called. */
function clockWithoutLate(): Clock & { readonly pass: () => void; readonly held: (() => void)[] } {
  const held: (() => void)[] = [];
  return {
    ...realClock,
    held,
    after(delayMs, fire) {
      if (delayMs !== LATE_MS) return realClock.after(delayMs, fire);
      held.push(fire);
      return { cancel() {} };
    },
    pass() {
      for (const fire of held.splice(0)) fire();
    },
  };
}

test("The lease goes back when there is time for it, and the record tells how long the answer took", async (context) => {
  let stepMs = 0;
  const late = clockWithoutLate();
  const clock = { ...late, nowMs: () => realClock.nowMs() + stepMs };
  const stage = await createStage(context, { clock });
  await ask(stage, { body: chat("alpha") });
  await until(() => late.held.length === 1, "the end is put off");
  assert.equal(stage.desk.leasesOut, 1);
  stepMs = 3_600_000;
  late.pass();
  assert.equal(stage.desk.leasesOut, 0);
  assert.deepEqual(
    stage.access.map(({ status, outcome }) => ({ status, outcome })),
    [{ status: 200, outcome: "served" }],
  );
  assert.ok((stage.access[0]?.durationMs ?? Infinity) < 3_600_000);
});

test("Whoever has an answer can ask again at once where only one request may be in progress", async (context) => {
  const unlimited = { models: null, requestsPerMinute: null, priority: null };
  const apiKeys = [{ name: "one", hash: hashOfKey(KEY), ...unlimited, inFlightMax: 1 }];
  const stage = await createStage(context, { clock: clockWithoutLate(), apiKeys });
  for (let count = 0; count < 10; count += 1) {
    const reply = await ask(stage, { headers: { authorization: `Bearer ${KEY}` }, body: chat("alpha") });
    assert.equal(reply.status, 200);
  }
  assert.equal(stage.access.length, 10);
});

test("Nor does the second one wait where a model takes one request at a time", async (context) => {
  const stage = await createStage(context, { clock: clockWithoutLate(), inFlightMax: 1 });
  for (let count = 0; count < 10; count += 1) {
    const reply = await ask(stage, { body: chat("alpha") });
    assert.equal(reply.status, 200);
    assert.equal(stage.desk.leasesOut, 1);
  }
  assert.deepEqual(
    stage.journal.filter(({ kind }) => kind === "request queued").map(({ kind }) => kind),
    ["request queued"],
  );
});

test("Of a client that leaves nothing is put off: its engine is wanted back", async (context) => {
  const stage = await createStage(context, { clock: clockWithoutLate() });
  stage.engine("alpha").handler = (response) => void response.write("begun");
  const running = await open(stage, { body: chat("alpha") });
  assert.equal(stage.desk.leasesOut, 1);
  running.destroy();
  await until(() => stage.desk.leasesOut === 0, "the lease is back");
});

test("An answer that ends while another one waits lets it go on", async (context) => {
  const stage = await createStage(context, { clock: clockWithoutLate() });
  const ends: (() => void)[] = [];
  stage.engine("alpha").handler = (response) => {
    response.write("begun");
    ends.push(() => response.end());
  };
  const running = await open(stage, { body: chat("alpha") });
  const other = ask(stage, { body: chat("org/beta") });
  await until(() => stage.desk.waiting === 1, "the other one waits");
  ends[0]?.();
  running.resume();
  assert.equal((await other).status, 200);
});

test("What was put off does not keep the gateway from its end", async (context) => {
  const stage = await createStage(context, { clock: clockWithoutLate() });
  await ask(stage, { body: chat("alpha") });
  await stage.gateway.stopAccepting();
  await stage.gateway.idle();
  assert.equal(stage.desk.leasesOut, 0);
});

test("Records come in the order in which requests have ended", async (context) => {
  const late = clockWithoutLate();
  const stage = await createStage(context, { clock: late });
  await ask(stage, { body: chat("alpha"), headers: { "x-request-id": "first" } });
  await until(() => late.held.length === 1, "the end is put off");
  stage.engine("alpha").handler = (response) => void response.write("begun");
  const running = await open(stage, { body: chat("alpha"), headers: { "x-request-id": "second" } });
  running.destroy();
  await until(() => stage.desk.leasesOut === 0, "both are over");
  assert.deepEqual(
    stage.access.map(({ requestId }) => requestId),
    ["first", "second"],
  );
});

test("Whoever asks for another model finds one that has nothing left to do", async (context) => {
  const stage = await createStage(context, { clock: clockWithoutLate() });
  await ask(stage, { body: chat("alpha") });
  await ask(stage, { body: chat("org/beta") });
  const kinds = stage.journal.map(({ kind }) => kind);
  assert.ok(kinds.indexOf("lease released") < kinds.lastIndexOf("request queued"), kinds.join(", "));
  for (const entry of stage.journal) if (entry.kind === "drain ended") assert.equal(entry.drainMs, 0);
});

test("Between two requests of one packet everybody else has a turn", async (context) => {
  const stage = await createStage(context);
  const count = 1_000;
  const client = await RawClient.open(stage);
  let turns = 0;
  let isOver = false;
  const loop = (): void => {
    turns += 1;
    if (!isOver) setImmediate(loop);
  };
  loop();
  client.socket.write("GET /health HTTP/1.1\r\nhost: a\r\n\r\n".repeat(count));
  await until(() => client.received.split("HTTP/1.1 200").length - 1 === count, "all are answered");
  isOver = true;
  assert.ok(turns >= count, `${turns} turns for ${count} requests`);
});
