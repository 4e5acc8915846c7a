import assert from "node:assert/strict";
import { test } from "node:test";
import type { FakeClock } from "../orchestrator/testing/fake-clock.ts";
import { Heart } from "./heart.ts";
import { asked, bodyOf } from "./http1/testing/asked.ts";
import { PromisedStream } from "./promised-stream.ts";

const INTERVAL_MS = 1_000;

/** Of heartbeats. */
const UNREAD_BYTES_MAX = 16 * 1024;

interface Play {
  readonly client: Awaited<ReturnType<typeof asked>>;
  readonly clock: FakeClock;
  readonly stream: PromisedStream;
  isPastBeats: boolean;
}

/** A stream whose client waits since now. */
async function waiting(): Promise<Play> {
  const client = await asked();
  const { clock } = client;
  const heart = new Heart({
    clock,
    intervalMs: INTERVAL_MS,
    snapshot: () => ({ phase: "running", models: [] }),
    look: (done) => done({ progressOf: () => null, positions: new Map() }),
  });
  const stream = new PromisedStream(
    { heart, clock, response: client.played.response, model: "m" },
    { ownLines: () => "", isPastBeats: () => play.isPastBeats, guard: (step) => step() },
  );
  const play: Play = { client, clock, stream, isPastBeats: false };
  stream.wait(null);
  return play;
}

function beatsIn(heard: string): number {
  return heard.match(/: llmux /g)?.length ?? 0;
}

test("A client that does not read gets no more heartbeats than fit, and further ones when it reads again", async () => {
  const { client, clock, stream } = await waiting();
  const { socket } = client;
  socket.isStuck = true;
  let mostUnread = 0;
  for (let beat = 0; beat < 2_000; beat += 1) {
    await clock.pass(INTERVAL_MS);
    mostUnread = Math.max(mostUnread, socket.writableLength);
  }
  assert.ok(mostUnread > UNREAD_BYTES_MAX / 2, `${mostUnread} bytes wait`);
  assert.ok(mostUnread < UNREAD_BYTES_MAX + 200, `${mostUnread} bytes wait`);
  socket.unstick();
  await client.settle();
  const before = beatsIn(socket.heard);
  assert.ok(before > 10 && before < 1_000, `${before} beats`);
  await clock.pass(3 * INTERVAL_MS);
  assert.equal(beatsIn(socket.heard), before + 3);
  // What was left out is not counted as sent.
  assert.equal(bodyOf(socket.heard).replaceAll(/[\da-f]+\r\n|\r\n/g, "").length, stream.bytesOut);
  stream.end();
  assert.equal(clock.pending, 0);
});

test("A beat that is due when all has been said is none, and the last one", async () => {
  const play = await waiting();
  const { client, clock, stream } = play;
  await clock.pass(INTERVAL_MS);
  const bytes = stream.bytesOut;
  play.isPastBeats = true;
  await clock.pass(5 * INTERVAL_MS);
  assert.deepEqual([beatsIn(client.socket.heard), stream.bytesOut, clock.pending], [1, bytes, 0]);
});

test("A client that has heard nothing yet is promised no stream once all has been said", async () => {
  const play = await waiting();
  play.isPastBeats = true;
  await play.clock.pass(5 * INTERVAL_MS);
  assert.deepEqual([play.stream.isOpened, play.client.played.response.hasHead, play.clock.pending], [false, false, 0]);
});
