/** Bytes that are not quite HTTP, or mean one thing to one server and another thing to the next. */
import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { connect } from "node:net";
import { test } from "node:test";
import { ask, chat, open, RawClient } from "./testing/client.ts";
import { collectGarbage } from "./testing/garbage.ts";
import { createStage, until, type Stage } from "./testing/stage.ts";

const BODY = chat("alpha");
const LENGTH = `content-length: ${BODY.length}`;

/** What an attacker would have the next server take for a request of its own. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

function post(headers: string, body = BODY): string {
  return `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n${body}`;
}

const IN_CHUNKS = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

/** Each is refused before any engine hears of it, and its connection is closed. */
const AMBIGUOUS: Readonly<Record<string, string>> = {
  "both lengths": post(`${LENGTH}\r\ntransfer-encoding: chunked`, `0\r\n\r\n${SMUGGLED}`),
  "both lengths, the other way round": post(`transfer-encoding: chunked\r\n${LENGTH}`, `0\r\n\r\n${SMUGGLED}`),
  "two different lengths": post(`${LENGTH}\r\ncontent-length: 3`),
  "one length twice": post(`${LENGTH}\r\n${LENGTH}`),
  "two lengths in one header": post(`content-length: ${BODY.length}, ${BODY.length}`),
  "a length with a sign": post(`content-length: +${BODY.length}`),
  "a negative length": post("content-length: -1"),
  "a hexadecimal length": post("content-length: 0x10"),
  "a length with a point": post("content-length: 5.0"),
  "an empty length": post("content-length: "),
  "an endless length": post("content-length: 99999999999999999999999"),
  "a length before a blank": post(`content-length : ${BODY.length}`),
  "an unknown coding": post("transfer-encoding: xchunked", IN_CHUNKS),
  "chunks that are not last": post("transfer-encoding: chunked, identity", IN_CHUNKS),
  "chunks before a blank": post("transfer-encoding : chunked", IN_CHUNKS),
  "chunks behind a folded line": post("transfer-encoding:\r\n chunked", IN_CHUNKS),
  "a folded header": post(`x: 1\r\n 2\r\n${LENGTH}`),
  "a header without a colon": post(`${LENGTH}\r\nnonsense`),
  "a header without a name": post(`${LENGTH}\r\n: x`),
  "a blank in a header's name": post(`${LENGTH}\r\na b: x`),
  "a NUL in a header": post(`${LENGTH}\r\na: x\0y`),
  "a bare carriage return in a header": post(`${LENGTH}\r\na: x\ry: z`),
  "a chunk size that is no number": post("transfer-encoding: chunked", `zz\r\n${SMUGGLED}`),
  "a chunk size beyond all numbers": post("transfer-encoding: chunked", `fffffffffffffffffff\r\n${SMUGGLED}`),
  "a negative chunk size": post("transfer-encoding: chunked", `-1\r\n${SMUGGLED}`),
  "a chunk size in disguise": post("transfer-encoding: chunked", `0x5\r\nhello\r\n0\r\n\r\n`),
  "a chunk that is longer than its size": post("transfer-encoding: chunked", `2\r\nhello\r\n0\r\n\r\n`),
  "a chunk with endless extensions": post(
    "transfer-encoding: chunked",
    `5;${"x".repeat(100_000)}\r\nhello\r\n0\r\n\r\n`,
  ),
  "no version": `POST /v1/completions\r\nhost: x\r\n${LENGTH}\r\n\r\n${BODY}`,
  "a version of the future": post(LENGTH).replace("HTTP/1.1", "HTTP/3.7"),
  "another protocol": post(LENGTH).replace("HTTP/1.1", "ICY/1.1"),
  "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
  "a method that is none": post(LENGTH).replace("POST", "SMUGGLE"),
  "a method in small letters": post(LENGTH).replace("POST", "post"),
  "a blank in its target": post(LENGTH).replace("/v1/completions", "/v1/completions /x"),
  "a greeting by TLS": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
  "nothing but line ends": "\r\n".repeat(100_000),
};

for (const [what, bytes] of Object.entries(AMBIGUOUS)) {
  test(`A request with ${what} is refused, and nothing behind it is taken for a request`, async (context) => {
    const stage = await createStage(context);
    const client = await RawClient.open(stage);
    client.socket.write(bytes, "latin1");
    client.socket.end();
    const answer = await client.untilClosed();
    assert.match(answer, /^(?:HTTP\/1\.1 (?:400|413) [^]*\r\n\r\n{"error":{.*}})?$/);
    assert.equal(stage.asked.length, 0, "an engine was asked for");
    assert.equal((await ask(stage)).status, 200);
  });
}

test("Lines that end without a carriage return are refused, or mean what they would with one", async (context) => {
  const stage = await createStage(context);
  const client = await RawClient.open(stage);
  client.socket.write(post(`${LENGTH}\r\nconnection: close`).replaceAll("\r\n", "\n"));
  const answer = await client.untilClosed();
  assert.match(answer, /^HTTP\/1\.1 400 /);
  assert.deepEqual(stage.engine("alpha").received, []);
});

test("What follows a whole request is a request of its own, with an answer of its own, and nothing else", async (context) => {
  const stage = await createStage(context);
  const client = await RawClient.open(stage);
  client.socket.write(post(LENGTH) + SMUGGLED + post(LENGTH));
  await until(() => client.received.match(/"messages"/g)?.length === 2, "both answers");
  client.socket.write(" and more\r\n\r\n");
  const answer = await client.untilClosed();
  const statuses = Array.from(answer.matchAll(/HTTP\/1\.1 (\d+) /g), ([, status]) => status);
  assert.deepEqual(statuses, ["200", "404", "200", "400"]);
  assert.deepEqual(
    stage.engine("alpha").received.map(({ url, body }) => [url, body.toString()]),
    [
      ["/v1/completions", BODY],
      ["/v1/completions", BODY],
    ],
  );
});

test("A body that is cut short reaches no engine, however it is sent", async (context) => {
  const stage = await createStage(context);
  for (const cut of [
    post("content-length: 1000"),
    post("transfer-encoding: chunked", `${BODY.length.toString(16)}\r\n${BODY}\r\n`),
    post("transfer-encoding: chunked", "ff\r\nshort"),
  ]) {
    for (const isAbrupt of [false, true]) {
      const client = await RawClient.open(stage);
      const before = stage.access.length;
      client.socket.write(cut);
      await new Promise((resolve) => void setTimeout(resolve, 10));
      if (isAbrupt) client.socket.resetAndDestroy();
      else client.socket.end();
      await until(() => stage.access.length === before + 1, "the record");
      assert.notEqual(stage.access.at(-1)?.outcome, "served");
      client.socket.destroy();
    }
  }
  assert.deepEqual(stage.asked, []);
});

test("Ten thousand connections that say random things do no harm, and leave nothing in memory", async (context) => {
  const stage = await createStage(context, { limits: { headersTimeoutMs: 1_000, timeoutCheckMs: 100 } });
  // What one round leaves for good is not known before it has been played: code, caches, pools.
  await storm(stage, 1_000);
  const before = settledMemory();
  await storm(stage, 10_000);
  await until(() => stage.access.every(({ status }) => status !== 0), "the records");
  stage.access.length = 0;
  let after = settledMemory();
  for (let round = 0; round < 20 && after - before > 10_000_000; round += 1) {
    await new Promise((resolve) => void setTimeout(resolve, 50));
    after = settledMemory();
  }
  assert.ok(after - before < 10_000_000, `${Math.round((after - before) / 1_000)} kB more than before`);
  for (let round = 0; round < 5; round += 1) assert.equal((await ask(stage)).status, 200);
});

test("A stream goes on undisturbed while others say random things", async (context) => {
  const stage = await createStage(context, { limits: { headersTimeoutMs: 1_000, timeoutCheckMs: 100 } });
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
  };
  const answer = await open(stage);
  let heard = "";
  answer.on("data", (chunk) => (heard += chunk));
  await storm(stage, 500);
  stage.engine("alpha").openResponses[0]?.end("data: 2\n\n");
  await until(() => answer.complete, "the end");
  assert.equal(heard, "data: 1\n\ndata: 2\n\n");
});

function settledMemory(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Each connection says something random and is then closed by one side or the other. */
async function storm(stage: Stage, connections: number): Promise<void> {
  let left = connections;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await oneRandomConnection(stage);
    }
  };
  await Promise.all(Array.from({ length: 50 }, worker));
}

function oneRandomConnection(stage: Stage): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port: stage.port, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.resume();
    socket.end(randomRequest());
  });
}

/** Some are noise; most are a request with a part of it broken, since noise is found out too early. */
function randomRequest(): Buffer {
  if (randomInt(4) === 0) return randomBytes(randomInt(1, 500));
  const shapes = Object.values(AMBIGUOUS);
  const bytes = Buffer.from(
    randomInt(2) === 0 ? post(LENGTH, '{"model":') : (shapes[randomInt(shapes.length - 1)] ?? ""),
    "latin1",
  );
  const broken = Buffer.from(bytes.subarray(0, randomInt(1, Math.min(bytes.length, 2_000) + 1)));
  for (let flips = randomInt(4); flips > 0; flips -= 1) broken[randomInt(broken.length)] = randomInt(256);
  return broken;
}
