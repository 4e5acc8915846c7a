import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { failure } from "../base/failure.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import { Doorkeeper } from "./doorkeeper.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeHouse } from "./exchange-house.ts";
import { Heart } from "./heart.ts";
import { PlayedConnection } from "./http1/testing/played-connection.ts";
import { LateWork } from "./late-work.ts";
import { LeaseDesk } from "./lease-desk.ts";
import { MadeResponses } from "./made-responses.ts";
import { Models } from "./models.ts";
import { ToldScheduler } from "./testing/told-scheduler.ts";

const INTERVAL_MS = 1_000;
const snapshot: ExchangeHouse["snapshot"] = () => ({ phase: "running", models: [] });
const BODY = '{"model":"m","stream":true}';

const STALL_MS = 60_000;

/** A stream that is asked for and waits in the queue, and what will be recorded of it. */
async function waiting(
  isAwaited = true,
): Promise<{ client: PlayedConnection; refuse: () => void; records: AccessRecord[] }> {
  const client = new PlayedConnection();
  const { clock } = client;
  const scheduler = new ToldScheduler();
  const directory = { connection: () => null, info: () => assert.fail("not asked for") };
  const desk = new LeaseDesk({ clock, scheduler: () => scheduler, directory });
  const all = [{ id: "m", aliases: [] }];
  const records: AccessRecord[] = [];
  const house: ExchangeHouse = {
    doorkeeper: new Doorkeeper({ keys: [], adminKeyHash: null, models: all, clock }),
    models: new Models(all),
    desk,
    clock,
    snapshot,
    heart: new Heart({
      clock,
      intervalMs: INTERVAL_MS,
      snapshot,
      look: (done) => done({ progressOf: () => null, positions: new Map() }),
    }),
    heartbeatMs: INTERVAL_MS,
    lateWork: new LateWork(clock, () => isAwaited),
    madeResponses: new MadeResponses(),
    bodyLimits: { bodyBytesMax: 1_000, memoryBytesMax: 1_000, spoolFolder: tmpdir() },
    crashNoticeMs: 1_000,
    stallTimeoutMs: STALL_MS,
    createdAtEpochS: 0,
    onBug: (error) => assert.fail(String(error)),
    onEnded: (_exchange, record) => void records.push(record),
    isSurplus: () => false,
  };
  client.onPlayed = ({ request, response }) => new Exchange(house, request, response).begin();
  const length = `content-length: ${BODY.length}`;
  await client.say(`POST /v1/completions HTTP/1.1\r\nhost: x\r\n${length}\r\n\r\n${BODY}`);
  assert.equal(desk.waiting, 1);
  const refuse = (): void => scheduler.speak(() => desk.onRefuse(1, failure("start_failed", "out of luck")));
  return { client, refuse, records };
}

for (const [what, beats] of [
  ["the error event", 2],
  ["the error", 0],
] as const) {
  test(`Behind ${what} there are no more heartbeats, and none is counted, however long its client takes to read it`, async () => {
    const { client, refuse, records } = await waiting();
    const { clock, socket } = client;
    await clock.pass(beats * INTERVAL_MS);
    socket.isStuck = true;
    refuse();
    await clock.pass(3 * INTERVAL_MS);
    assert.equal(records.length, 0, "it is not over");
    socket.unstick();
    await client.settle();
    const body = socket.heard.slice(socket.heard.indexOf("\r\n\r\n") + 4);
    assert.equal(body.match(/: llmux /g)?.length ?? 0, beats);
    assert.match(body, /out of luck/);
    const heartbeats = /: llmux .*\n\n/.exec(body)?.[0] ?? "";
    const error = beats === 0 ? body.length : 0;
    assert.equal(records[0]?.bytesOut, beats * heartbeats.length + error);
    assert.equal(clock.pending, 0);
  });
}

test("An answer that its client takes at the last moment is not taken for a stalled one afterwards", async () => {
  const { client, refuse, records } = await waiting(false);
  const { clock, socket } = client;
  socket.isStuck = true;
  refuse();
  await client.settle();
  await clock.pass(STALL_MS - 0.5);
  socket.unstick();
  await client.settle();
  await clock.pass(0.5);
  assert.equal(socket.destroyed, false);
  await clock.pass(1);
  assert.deepEqual([records.length, records[0]?.failure?.code], [1, "start_failed"]);
});
