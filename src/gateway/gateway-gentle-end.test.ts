/** Whoever sends more than is wanted is still heard out, so that no reset overtakes, or takes back, what it was told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chat, RawClient } from "./testing/client.ts";
import { createStage, realClock, until } from "./testing/stage.ts";

/** More than is read ahead, so that most of it lies in the system when the answer is over. */
const TOO_MUCH = Buffer.alloc(400_000, "x");

const ANSWER = "y".repeat(300_000);

const OK = /^HTTP\/1\.1 200 OK\r\n/;

/** A second may be too short for a busy machine. */
const PATIENT = {
  clock: { ...realClock, after: (delayMs: number, fire: () => void) => realClock.after(delayMs * 20, fire) },
};

const BODY = chat("alpha");

const HANDSHAKE =
  "GET /v1/realtime?model=none HTTP/1.1\r\nhost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** What is sent before what nobody wants, and the answer. */
const LAST_REQUESTS: Readonly<Record<string, readonly [string, RegExp]>> = {
  "the last request of its connection": [
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
    OK,
  ],
  "a request of HTTP/1.0": [`POST /v1/completions HTTP/1.0\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`, OK],
  "a request without a Host": ["GET /health HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 [^]*"error":{.*}}$/],
  "a broken head": ["nonsense\r\n\r\n", /^HTTP\/1\.1 400 [^]*"error":{.*}}$/],
  "a broken body": [
    "POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    /^HTTP\/1\.1 400 [^]*"error":{.*}}$/,
  ],
  "a WebSocket that there is not": [HANDSHAKE, /^HTTP\/1\.1 404 [^]*"error":{.*}}$/],
};

for (const [what, [bytes, expected]] of Object.entries(LAST_REQUESTS)) {
  test(`A client that sends on behind ${what} reads its answer to the end, and sees an end and no reset`, async (context) => {
    const stage = await createStage(context, PATIENT);
    stage.engine("alpha").handler = (response) => void response.end(ANSWER);
    const errors: unknown[] = [];
    const client = await RawClient.open(stage);
    client.socket.on("error", (error) => errors.push(error));
    client.socket.pause();
    let hasAnswer = false;
    client.socket.once("readable", () => (hasAnswer = true));
    client.socket.write(Buffer.concat([Buffer.from(bytes), TOO_MUCH]));
    // All of it is in the system's hands, and the client has read nothing yet.
    await until(() => hasAnswer && (expected !== OK || stage.access.length === 1), "an answer");
    client.socket.write(TOO_MUCH);
    client.socket.resume();
    const answer = await client.untilClosed();
    client.socket.end();
    await until(() => client.socket.destroyed, "the end");
    assert.match(answer, expected);
    if (expected === OK) assert.ok(answer.includes(ANSWER), `${answer.length} bytes are all that came`);
    assert.deepEqual(errors, []);
  });
}

test("A client that never ends does not keep its connection", async (context) => {
  const stage = await createStage(context);
  const client = await RawClient.open(stage);
  client.socket.write("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  await client.untilClosed();
  const isGone = (): boolean => client.socket.destroyed;
  // Nothing tells a client that the other end is gone before it says something.
  await until(() => isGone() || !client.socket.write("x"), "it is told that nobody listens");
  await until(isGone, "its connection is reset");
});
