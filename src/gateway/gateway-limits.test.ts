/** What one client may take: connections, headers, time. Beyond that it is told so, and what runs goes on. */
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test, type TestContext } from "node:test";
import { ask, chat, json, open, RawClient } from "./testing/client.ts";
import { createStage, realClock, until, type Stage, type StageOptions } from "./testing/stage.ts";

/** A stage with a stream that is in the middle of its answer; the end shows that it has not been touched. */
async function withRunningStream(
  context: TestContext,
  options: StageOptions,
): Promise<{ stage: Stage; finish: () => Promise<void> }> {
  const stage = await createStage(context, options);
  const held: ServerResponse[] = [];
  stage.engine("org/beta").handler = (response) => {
    response.setHeader("content-type", "text/event-stream");
    response.write("data: 1\n\n");
    stage.engine("org/beta").handler = (other) => void other.end("{}");
    held.push(response);
  };
  const answer = await open(stage, { body: chat("org/beta") });
  const finish = async (): Promise<void> => {
    let text = "";
    answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
    held[0]?.end("data: 2\n\n");
    await until(() => answer.complete, "the running stream ends");
    assert.equal(text, "data: 1\n\ndata: 2\n\n");
  };
  return { stage, finish };
}

const HEALTH = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
const MODELS = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";

test("A connection too many is told 503 at once, and there is room again when another one goes", async (context) => {
  const { stage, finish } = await withRunningStream(context, { limits: { connectionsMax: 3 } });
  const idle = await Promise.all([RawClient.open(stage), RawClient.open(stage)]);
  const surplus = await RawClient.open(stage);
  surplus.send("POST", "/v1/chat/completions", chat("alpha"));
  const answer = await surplus.untilClosed();
  assert.match(answer, /^HTTP\/1\.1 503 [^]*"code":"too_many_connections"/);
  assert.match(answer, /\r\nretry-after: 1\r\n/);
  assert.match(answer, /\r\nconnection: close\r\n/);
  assert.deepEqual(stage.engine("alpha").received, []);
  // Whoever asks whether llmux is well is told so all the same.
  const probe = await RawClient.open(stage);
  probe.socket.write(HEALTH);
  await probe.until(/^HTTP\/1\.1 200 /);
  probe.socket.destroy();
  idle[0]?.socket.destroy();
  const isServed = async (): Promise<boolean> => {
    const client = await RawClient.open(stage);
    client.socket.write(MODELS);
    const [line] = await client.until(/^HTTP\/1\.1 \d+/);
    client.socket.destroy();
    return line.endsWith("200");
  };
  const deadline = performance.now() + 10_000;
  while (!(await isServed())) assert.ok(performance.now() < deadline, "there never was room again");
  idle[1]?.socket.destroy();
  await finish();
});

test("Those above even the reserve are dropped, and their number does no harm", async (context) => {
  const { stage, finish } = await withRunningStream(context, { limits: { connectionsMax: 2 } });
  const crowd = Array.from({ length: 300 }, () => new RawClient(stage.port));
  await until(() => crowd.filter(({ isClosed }) => isClosed).length >= 200, "most are dropped");
  for (const { socket } of crowd) socket.destroy();
  await finish();
  await until(() => stage.access.length > 0, "the record of the stream");
});

test("A connection too many that says nothing is closed soon", async (context) => {
  const fired: (() => void)[] = [];
  const clock = {
    ...realClock,
    after: (delayMs: number, fire: () => void) => {
      // The one that looks after slow clients comes less often.
      if (delayMs === 5_000) fired.push(fire);
      return realClock.after(delayMs, fire);
    },
  };
  const stage = await createStage(context, { clock, limits: { connectionsMax: 1, timeoutCheckMs: 60_000 } });
  const first = await RawClient.open(stage);
  const second = await RawClient.open(stage);
  await until(() => fired.length === 1, "the second has its time limited");
  fired[0]?.();
  await second.untilClosed();
  assert.equal(first.isClosed, false);
  first.socket.destroy();
});

test("Headers above the limit are a 431, and as many as fit in it all count", async (context) => {
  const { stage, finish } = await withRunningStream(context, { limits: { headerBytesMax: 32_768 } });
  const large = await RawClient.open(stage);
  large.socket.write(`GET /health HTTP/1.1\r\nhost: x\r\na: ${"x".repeat(40_000)}\r\n\r\n`);
  assert.match(await large.untilClosed(), /^HTTP\/1\.1 431 [^]*"error"/);
  const many = await RawClient.open(stage);
  many.socket.write(`GET /health HTTP/1.1\r\nhost: x\r\n${"a:1\r\n".repeat(4_000)}x-request-id: last\r\n\r\n`);
  await many.until(/^HTTP\/1\.1 200 [^]*x-request-id: last\r\n/);
  many.socket.destroy();
  await finish();
});

test("Headers that trickle, a body that trickles and a connection that says nothing are ended, and the rest goes on", async (context) => {
  const limits = { headersTimeoutMs: 150, requestTimeoutMs: 300, timeoutCheckMs: 20 };
  const { stage, finish } = await withRunningStream(context, { limits });
  const trickle = async (beginning: string, drop: string): Promise<string> => {
    const client = await RawClient.open(stage);
    client.socket.write(beginning);
    // Never a pause that would look like the end of the trying.
    const timer = setInterval(() => client.socket.writable && client.socket.write(drop), 10);
    const answer = await client.untilClosed();
    clearInterval(timer);
    client.socket.destroy();
    return answer;
  };
  const [headers, body, chunks, silent] = await Promise.all([
    trickle("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n", "a: 1\r\n"),
    trickle("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{", " "),
    trickle("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\n \r\n"),
    trickle("", ""),
  ]);
  for (const answer of [headers, body, chunks, silent]) {
    assert.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n[^]*connection: close\r\n\r\n{"error":/);
    assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1);
  }
  assert.deepEqual(stage.engine("alpha").received, []);
  await finish();
});

test("An idle connection is closed after its time, and one that is in use is not", async (context) => {
  const { stage, finish } = await withRunningStream(context, {
    limits: { keepAliveTimeoutMs: 50, timeoutCheckMs: 25 },
  });
  const client = await RawClient.open(stage);
  client.socket.write(HEALTH);
  await client.untilClosed();
  assert.match(client.received, /^HTTP\/1\.1 200 /);
  await finish();
});

/** As much as no buffer takes. */
const FLOOD = Buffer.alloc(65_536, "x");

test("A client that stops reading loses its connection after a while, and its engine and its lease are free", async (context) => {
  const stage = await createStage(context, { limits: { stallTimeoutMs: 100 } });
  let isGone = false;
  stage.engine("alpha").handler = (response, received) => {
    if (!received.body.includes('"slow"')) return void response.end("quick");
    response.on("close", () => (isGone = true));
    const more = (): void => {
      while (response.write(FLOOD));
      response.once("drain", more);
    };
    return more();
  };
  const answer = await open(stage, { body: chat("alpha", { user: "slow" }) });
  answer.on("error", () => {}).pause();
  await until(() => isGone, "the engine is let go");
  await until(() => stage.access.length === 1, "the record");
  const [record] = stage.access;
  assert.deepEqual([record?.outcome, record?.status, record?.failure?.code], ["abandoned", 499, "client_stalled"]);
  assert.equal((await ask(stage)).body.toString(), "quick");
});

test("A client that reads slowly, but reads, keeps its connection", async (context) => {
  const stage = await createStage(context, { limits: { stallTimeoutMs: 500 } });
  const total = 16 * 1_048_576;
  stage.engine("alpha").handler = (response) => void response.end(Buffer.alloc(total, "x"));
  const answer = await open(stage);
  let read = 0;
  answer.on("data", (chunk: Buffer) => {
    read += chunk.length;
    if (read % (1 << 20) > chunk.length) return;
    answer.pause();
    setTimeout(() => answer.resume(), 20);
  });
  await until(() => answer.complete, "the whole answer");
  assert.equal(read, total);
});

test("Who never reads a single answer does not hold his connection for ever", async (context) => {
  const stage = await createStage(context, { limits: { stallTimeoutMs: 100 } });
  const client = await RawClient.open(stage);
  client.socket.pause();
  const more = (): void => {
    while (client.socket.writable && client.socket.write(MODELS.repeat(100)));
  };
  client.socket.on("drain", more);
  more();
  await until(() => stage.access.some(({ failure }) => failure?.code === "client_stalled"), "the stall is noticed");
  assert.equal(json(await ask(stage, { method: "GET", path: "/v1/models", body: null }))["object"], "list");
  client.socket.destroy();
});
