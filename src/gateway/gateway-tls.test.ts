/** TLS at the gateway: who is spoken to, what a broken answer looks like, and that all the rest is as without it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpsRequest } from "node:https";
import { connect as connectTcp } from "node:net";
import { test, type TestContext } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { selfSigned } from "../platform/testing/self-signed.ts";
import { chat, type Reply } from "./testing/client.ts";
import { createStage, until, type Stage, type StageOptions } from "./testing/stage.ts";

const IDENTITY = selfSigned();

function tlsStage(context: TestContext, more: StageOptions = {}): Promise<Stage> {
  return createStage(context, { ...more, tls: () => IDENTITY });
}

function ask(
  stage: Stage,
  ca = IDENTITY.cert,
  body = chat("alpha"),
): Promise<Pick<Reply, "status" | "body" | "isCut">> {
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port: stage.port,
      method: "POST",
      path: "/v1/chat/completions",
      ca,
      agent: false,
    };
    const request = httpsRequest(options, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", () => {});
      answer.once("close", () => {
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks), isCut: !answer.complete });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function connectTls(stage: Stage, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port: stage.port, ca: IDENTITY.cert, ...options });
  await once(socket, "secureConnect");
  return socket;
}

test("Over TLS a request is served as without it", async (context) => {
  const stage = await tlsStage(context);
  const { status, body } = await ask(stage);
  assert.equal(status, 200);
  assert.equal(body.toString(), chat("alpha"));
});

test("TLS 1.2 and 1.3 are spoken, and nothing older", async (context) => {
  const stage = await tlsStage(context);
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const socket = await connectTls(stage, { minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    socket.destroy();
  }
  for (const version of ["TLSv1", "TLSv1.1"] as const) {
    // Otherwise the client itself would refuse to speak it.
    const old = { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" };
    await assert.rejects(connectTls(stage, old), /protocol version|alert/i);
  }
  assert.equal((await ask(stage)).status, 200);
});

test("Plain HTTP, junk and a handshake that does not come are ended, and do no harm", async (context) => {
  const stage = await tlsStage(context, { limits: { headersTimeoutMs: 100, timeoutCheckMs: 20 } });
  for (const bytes of ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "\x16\x03\x01\xff\xffjunk", "\0".repeat(1_000), ""]) {
    const socket = connectTcp(stage.port, "127.0.0.1");
    socket.on("error", () => {});
    let received = "";
    socket.on("data", (chunk) => (received += chunk.toString("latin1")));
    if (bytes !== "") socket.write(bytes, "latin1");
    await once(socket, "close");
    assert.doesNotMatch(received, /HTTP/);
  }
  assert.equal((await ask(stage)).status, 200);
  await until(() => stage.access.length === 1, "the record");
});

test("A connection too many is told so over TLS too", async (context) => {
  const stage = await tlsStage(context, { limits: { connectionsMax: 1 } });
  const first = await connectTls(stage);
  const { status, body } = await ask(stage);
  assert.equal(status, 503);
  assert.match(body.toString(), /too_many_connections/);
  first.destroy();
});

test("An answer that breaks off is not taken for complete, with a length, in chunks, or with neither", async (context) => {
  const stage = await tlsStage(context);
  for (const headers of [{ "content-length": "100" }, {}]) {
    stage.engine("alpha").handler = (response) => {
      response.writeHead(200, headers);
      response.write("half");
      setImmediate(() => response.socket?.destroy());
    };
    const reply = await ask(stage);
    assert.equal(reply.body.toString(), "half");
    assert.ok(reply.isCut);
  }
  // To HTTP/1.0 there is neither length nor chunks. The reset that says so without TLS is not possible with it.
  const socket = await connectTls(stage);
  let received = "";
  socket.on("data", (chunk) => (received += chunk.toString("latin1")));
  socket.on("error", () => {});
  const body = chat("alpha");
  const head = `POST /v1/chat/completions HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n`;
  socket.write(head + body);
  await once(socket, "close");
  assert.match(received, /\r\n\r\nhalf$/);
  assert.equal(stage.access.at(-1)?.outcome, "failed");
});

test("A new certificate is shown to new connections, and one that is none is refused", async (context) => {
  const stage = await tlsStage(context);
  const before = await connectTls(stage);
  const renewed = selfSigned();
  stage.gateway.renewTls(renewed);
  await assert.rejects(ask(stage), /self-signed|unable to verify/i);
  assert.equal((await ask(stage, renewed.cert)).status, 200);
  // The old connection goes on.
  before.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
  let received = "";
  before.on("data", (chunk: Buffer) => (received += chunk.toString()));
  await until(() => received.startsWith("HTTP/1.1 200"), "the answer on the old connection");
  before.destroy();
  assert.throws(() => stage.gateway.renewTls({ cert: "none", key: renewed.key }));
  assert.equal((await ask(stage, renewed.cert)).status, 200);
});
