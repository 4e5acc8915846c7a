import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createKey, hashOfKey } from "../base/api-key.ts";
import { failure } from "../base/failure.ts";
import { ask, RawClient } from "./testing/client.ts";
import { RealtimeEngine } from "./testing/realtime-engine.ts";
import { createStage, MODELS, until, type Stage, type StageOptions } from "./testing/stage.ts";

const UPDATE = '{"type":"session.update","model":"alpha"}';

interface RealtimeStage extends Stage {
  readonly alpha: RealtimeEngine;
}

async function realtimeStage(context: TestContext, options: StageOptions = {}): Promise<RealtimeStage> {
  const stage = await createStage(context, options);
  return Object.assign(stage, { alpha: new RealtimeEngine(stage.engine("alpha")) });
}

/** Node's own client, with what it has heard. */
class Client {
  readonly socket: WebSocket;
  readonly texts: string[] = [];
  isOpen = false;
  closed: { readonly code: number; readonly reason: string } | null = null;

  constructor(stage: Stage, target = "/v1/realtime?model=alpha", protocols: string[] = []) {
    this.socket = new WebSocket(`ws://127.0.0.1:${stage.port}${target}`, protocols);
    this.socket.addEventListener("open", () => (this.isOpen = true));
    this.socket.addEventListener("message", ({ data }) => this.texts.push(String(data)));
    this.socket.addEventListener("close", ({ code, reason }) => (this.closed = { code, reason }));
    this.socket.addEventListener("error", () => {});
  }

  async untilHeard(count: number): Promise<void> {
    await until(() => this.texts.length >= count || this.closed !== null, `${count} texts`);
  }

  async untilClosed(): Promise<{ readonly code: number; readonly reason: string }> {
    await until(() => this.closed !== null, "the connection closes");
    return this.closed ?? assert.fail();
  }
}

async function oneRecord(stage: Stage): Promise<Stage["access"][number]> {
  await until(() => stage.access.length === 1, "the record");
  return stage.access[0] ?? assert.fail();
}

test("A model in the query is started, greets by itself, and talks until its client says good-bye", async (context) => {
  const stage = await realtimeStage(context);
  const client = new Client(stage, "/v1/realtime?model=first&intent=transcription");
  await client.untilHeard(1);
  assert.deepEqual(client.texts, ['{"type":"session.created","id":"of the engine"}']);
  for (const text of ["1", "ä🙂".repeat(50_000)]) client.socket.send(text);
  await client.untilHeard(3);
  assert.deepEqual(stage.alpha.texts, ["1", "ä🙂".repeat(50_000)]);
  assert.deepEqual(client.texts.slice(1), stage.alpha.texts);
  assert.equal(stage.desk.leasesOut, 1);
  assert.equal(stage.alpha.requests[0]?.url, "/v1/realtime?model=first&intent=transcription");
  client.socket.close(3001, "enough");
  assert.equal((await client.untilClosed()).code, 3001);
  const { status, outcome, model, route, bytesIn, bytesOut } = await oneRecord(stage);
  assert.deepEqual([status, outcome, model, route], [101, "served", "alpha", "/v1/realtime"]);
  assert.ok(bytesIn > 300_000 && bytesOut > 300_000);
  await until(() => stage.alpha.farewells.length === 1, "the farewell");
  assert.deepEqual(stage.alpha.farewells, [3001]);
});

for (const update of [UPDATE, '{"type":"session.update","session":{"type":"realtime","model":"first"}}']) {
  test(`A model in the message ${update} is asked for after a greeting, and gets all that was said`, async (context) => {
    const stage = await realtimeStage(context);
    const client = new Client(stage, "/v1/realtime");
    await client.untilHeard(1);
    assert.match(client.texts[0] ?? "", /^{"type":"session\.created","id":"sess-[0-9a-f-]{36}","created":\d+}$/);
    assert.deepEqual(stage.asked, []);
    for (const text of ['{"type":"other"}', "no JSON", update, "behind"]) client.socket.send(text);
    await client.untilHeard(5);
    assert.deepEqual(stage.alpha.texts, ['{"type":"other"}', "no JSON", update, "behind"]);
    assert.deepEqual(client.texts.slice(1), stage.alpha.texts, "the engine's greeting is left out");
    client.socket.close();
    await oneRecord(stage);
  });
}

test("With a single model there is no need to name it", async (context) => {
  const stage = await realtimeStage(context, { models: MODELS.slice(0, 1) });
  const client = new Client(stage, "/v1/realtime");
  await client.untilHeard(1);
  assert.match(client.texts[0] ?? "", /of the engine/);
  client.socket.close();
  await oneRecord(stage);
});

test("While its model loads a client gets pings, and what it says meanwhile is not lost", async (context) => {
  const stage = await realtimeStage(context, { onBringUp: () => {}, limits: { heartbeatMs: 10 } });
  const client = new Client(stage);
  await until(() => client.isOpen, "it is open before the model is there");
  client.socket.send("early");
  const raw = await RawClient.open(stage);
  raw.socket.write(HANDSHAKE);
  await until(() => raw.received.includes(`\r\n\r\n${"\x89\x05llmux".repeat(2)}`), "two pings");
  // A ping, in the middle of a text that comes in two frames.
  raw.socket.write(Buffer.concat([masked(0x01, "half "), masked(0x89, "you?"), masked(0x80, "whole")]));
  await until(() => raw.received.includes("\x8a\x04you?"), "the pong");
  await stage.bringUp("alpha");
  await client.untilHeard(2);
  assert.deepEqual(client.texts.slice(1), ["early"]);
  client.socket.close();
  raw.socket.destroy();
  await until(() => stage.access.length === 2, "the records");
});

test("A client whose engine has broken the handshake gets pings until it is known why", async (context) => {
  const stage = await realtimeStage(context, { limits: { heartbeatMs: 10, crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  const greet = engine.upgradeHandler;
  engine.upgradeHandler = (request, socket) => (engine.lives === 1 ? socket.destroy() : greet?.(request, socket));
  const raw = await RawClient.open(stage);
  raw.socket.write(HANDSHAKE);
  await until(() => stage.desk.leasesOut === 1, "it has its lease");
  await until(() => raw.received.includes("\x89\x05llmux".repeat(3)), "three pings");
  assert.equal(stage.desk.leasesOut, 1);
  stage.crash("alpha");
  await raw.until(/of the engine/);
  raw.socket.destroy();
  await oneRecord(stage);
});

test("A client that says more than is kept waits for the engine, and nothing is lost", async (context) => {
  const stage = await realtimeStage(context, { onBringUp: () => {} });
  const client = new Client(stage);
  await until(() => client.isOpen, "it is open");
  const texts = Array.from({ length: 40 }, (_, index) => String(index % 10).repeat(100_000));
  for (const text of texts) client.socket.send(text);
  await new Promise((resolve) => void setTimeout(resolve, 100));
  await stage.bringUp("alpha");
  await client.untilHeard(41);
  assert.deepEqual(client.texts.slice(1), texts);
  client.socket.close();
  await oneRecord(stage);
});

for (const [what, target, status, code] of [
  ["an unknown model", "/v1/realtime?model=gamma", 404, "model_not_found"],
  ["two models", "/v1/realtime?model=alpha&model=org/beta", 400, "invalid_request"],
] as const) {
  test(`A connection with ${what} in its query is a ${status} and no WebSocket`, async (context) => {
    const stage = await realtimeStage(context);
    const raw = await RawClient.open(stage);
    raw.socket.write(HANDSHAKE.replace("/v1/realtime?model=alpha", target));
    const answer = await raw.untilClosed();
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^]*"code":"${code}"}}$`));
    assert.deepEqual(stage.asked, []);
    assert.equal((await oneRecord(stage)).status, status);
  });
}

test("A broken handshake is a 400, and one on any other path is a request like every other", async (context) => {
  const stage = await realtimeStage(context);
  for (const [broken, status] of [
    [HANDSHAKE.replace("Version: 13", "Version: 8"), 400],
    [HANDSHAKE.replace(/Key: .*/, "Key: short\r"), 400],
    [HANDSHAKE.replace("host: x\r\n", ""), 400],
    [HANDSHAKE.replace("/v1/realtime?model=alpha", "/sleep"), 404],
    [HANDSHAKE.replace("/v1/realtime?model=alpha", "/v1/chat/completions"), 405],
    [HANDSHAKE.replace("websocket", "h2c"), 426],
  ] as const) {
    const raw = await RawClient.open(stage);
    raw.socket.write(broken);
    await raw.until(new RegExp(`^HTTP/1\\.1 ${status} [^]*{"error":{.*}}$`));
    raw.socket.destroy();
  }
  assert.deepEqual(stage.asked, []);
});

test("A request that offers HTTP/2 is answered as if it did not", async (context) => {
  const stage = await realtimeStage(context);
  const headers = { connection: "upgrade, http2-settings", upgrade: "h2c", "http2-settings": "AAMAAABkAAQAAP__" };
  assert.equal((await ask(stage, { headers })).status, 200);
});

test("With keys, a key is asked for, and a browser's may stand among its subprotocols", async (context) => {
  const key = createKey();
  const stage = await realtimeStage(context, {
    apiKeys: [
      { name: "k", hash: hashOfKey(key), models: ["alpha"], requestsPerMinute: null, inFlightMax: 1, priority: null },
    ],
  });
  const outside = await RawClient.open(stage);
  outside.socket.write(HANDSHAKE);
  assert.match(await outside.untilClosed(), /^HTTP\/1\.1 401 [^]*www-authenticate: Bearer/);
  const client = new Client(stage, "/v1/realtime?model=alpha", ["realtime", `openai-insecure-api-key.${key}`]);
  await client.untilHeard(1);
  assert.equal(client.socket.protocol, "realtime");
  const seen = stage.alpha.requests[0];
  assert.equal(seen?.headers["sec-websocket-protocol"], "realtime");
  assert.ok(!JSON.stringify(seen?.rawHeaders).includes(key));
  const second = new Client(stage, "/v1/realtime?model=alpha", [`openai-insecure-api-key.${key}`]);
  await second.untilClosed();
  assert.equal(second.isOpen, false);
  client.socket.close();
  await until(() => stage.access.length === 3, "the records");
  const statuses = stage.access.map(({ status }) => status);
  assert.deepEqual(
    statuses.toSorted((a, b) => a - b),
    [101, 401, 429],
  );
});

test("A message that names an unknown model is an error event and the code 1008", async (context) => {
  const stage = await realtimeStage(context);
  const client = new Client(stage, "/v1/realtime");
  await client.untilHeard(1);
  client.socket.send('{"type":"session.update","model":"gamma"}');
  const { code, reason } = await client.untilClosed();
  assert.equal(code, 1008);
  assert.match(reason, /The model `gamma` does not exist/);
  assert.match(client.texts[1] ?? "", /^{"type":"error","error":{.*"code":"model_not_found"/);
  assert.equal((await oneRecord(stage)).outcome, "refused");
});

test("A model that cannot be started is an error event and the code 1013", async (context) => {
  const stage = await realtimeStage(context, {
    onBringUp: ({ scheduler, nowMs }, model) =>
      scheduler.onWakeFailed(model, failure("start_failed", "no such model on disk"), nowMs),
  });
  const client = new Client(stage);
  assert.deepEqual(await client.untilClosed(), { code: 1013, reason: "no such model on disk" });
  assert.match(client.texts[0] ?? "", /"code":"start_failed"/);
  assert.equal((await oneRecord(stage)).status, 503);
});

test("An engine that dies before it answers is tried again; one that dies later is an error event and the code 1011", async (context) => {
  const stage = await realtimeStage(context, { limits: { crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  const greet = engine.upgradeHandler;
  engine.upgradeHandler = (request, socket) => (engine.lives === 1 ? stage.crash("alpha") : greet?.(request, socket));
  const client = new Client(stage);
  await client.untilHeard(1);
  assert.equal(engine.lives, 2);
  stage.crash("alpha", "killed by a test");
  const { code } = await client.untilClosed();
  assert.equal(code, 1011);
  assert.match(client.texts[1] ?? "", /"type":"error"/);
  assert.equal((await oneRecord(stage)).outcome, "failed");
});

test("An engine that breaks off in the middle of a frame leaves no frame of ours behind it", async (context) => {
  const stage = await realtimeStage(context);
  const client = new Client(stage);
  await client.untilHeard(1);
  for (const socket of stage.alpha.sockets) socket.write(Buffer.from([0x81, 100, 65, 66]), () => socket.destroy());
  assert.equal((await client.untilClosed()).code, 1006);
  assert.equal(client.texts.length, 1);
  assert.equal((await oneRecord(stage)).outcome, "failed");
});

test("An engine without the route is an error event and the code 1011", async (context) => {
  const stage = await createStage(context);
  const client = new Client(stage);
  const { code, reason } = await client.untilClosed();
  assert.equal(code, 1011);
  assert.match(reason, /answered 200 and speaks no WebSocket here/);
  await oneRecord(stage);
});

test("A client that vanishes while it waits leaves the queue, and one that vanishes later frees its model", async (context) => {
  const stage = await realtimeStage(context, { onBringUp: () => {} });
  const waiting = await RawClient.open(stage);
  waiting.socket.write(HANDSHAKE);
  await until(() => stage.desk.waiting === 1, "it waits");
  waiting.socket.resetAndDestroy();
  await until(() => stage.desk.waiting === 0 && stage.access.length === 1, "it has left");
  assert.equal(stage.access[0]?.outcome, "abandoned");
  await stage.bringUp("alpha");
  const talking = await RawClient.open(stage);
  talking.socket.write(HANDSHAKE);
  await talking.until(/of the engine/);
  assert.equal(stage.desk.leasesOut, 1);
  talking.socket.resetAndDestroy();
  await until(() => stage.desk.leasesOut === 0 && stage.alpha.sockets.length === 0, "the lease is back");
  await until(() => stage.access.length === 2, "the record");
});

test("A client that stops reading loses its connection after a while, and its model is free", async (context) => {
  const stage = await realtimeStage(context, { limits: { stallTimeoutMs: 200 } });
  const raw = await RawClient.open(stage);
  raw.socket.write(HANDSHAKE);
  await raw.until(/of the engine/);
  raw.socket.pause();
  const talk = setInterval(() => stage.alpha.say("x".repeat(1_000_000)), 1);
  context.after(() => clearInterval(talk));
  assert.equal((await oneRecord(stage)).failure?.code, "client_stalled");
  clearInterval(talk);
  assert.equal(stage.desk.leasesOut, 0);
  raw.socket.destroy();
});

test("What is no frame before the engine is there is the code 1002, and endless namelessness 1009", async (context) => {
  const stage = await realtimeStage(context, { onBringUp: () => {} });
  for (const [bytes, code] of [
    [Buffer.from([0x81, 0x00]), 1002],
    [Buffer.from([0xff, 0x80, 0, 0, 0, 0]), 1002],
  ] as const) {
    const raw = await RawClient.open(stage);
    raw.socket.write(HANDSHAKE);
    await raw.until(/\r\n\r\n/);
    raw.socket.write(bytes);
    const answer = Buffer.from(await raw.untilClosed(), "latin1");
    assert.equal(answer.readUInt16BE(answer.lastIndexOf(0x88) + 2), code);
  }
  const nameless = new Client(stage, "/v1/realtime");
  await until(() => nameless.isOpen, "it is open");
  nameless.socket.send("x".repeat(2_000_000));
  assert.equal((await nameless.untilClosed()).code, 1009);
  await until(() => stage.access.length === 3, "the records");
});

test("At the end of llmux sessions end with the code 1001, those without a model at once", async (context) => {
  const stage = await realtimeStage(context);
  const talking = new Client(stage);
  await talking.untilHeard(1);
  const nameless = new Client(stage, "/v1/realtime");
  await nameless.untilHeard(1);
  await stage.gateway.stopAccepting();
  assert.equal((await nameless.untilClosed()).code, 1001);
  assert.equal(talking.closed, null);
  stage.scheduler.onShutdown(10, stage.nowMs);
  assert.equal((await talking.untilClosed()).code, 1001);
  await stage.gateway.idle();
});

const HANDSHAKE =
  "GET /v1/realtime?model=alpha HTTP/1.1\r\nhost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** A short frame of a client, with a mask of zeros. */
function masked(first: number, text: string): Buffer {
  return Buffer.concat([Buffer.from([first, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

test("A session may be asked for with scheme and authority", async (context) => {
  const stage = await realtimeStage(context);
  const client = await RawClient.open(stage);
  client.socket.write(HANDSHAKE.replace("/v1/realtime", "http://x/v1/realtime"));
  await client.until(/^HTTP\/1\.1 101 [^]*of the engine/);
  assert.equal(stage.alpha.requests[0]?.url, "/v1/realtime?model=alpha");
  client.socket.destroy();
});

test("Where the gateway is destroyed, a talk is cut without a good-bye, and its model is free", async (context) => {
  const stage = await realtimeStage(context);
  const client = new Client(stage);
  await client.untilHeard(1);
  stage.gateway.destroy();
  assert.equal((await client.untilClosed()).code, 1006);
  await oneRecord(stage);
  assert.equal(stage.desk.leasesOut, 0);
});
