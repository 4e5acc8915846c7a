import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { FakeClock } from "../../orchestrator/testing/fake-clock.ts";
import { selfSigned } from "../../platform/testing/self-signed.ts";
import { until } from "../testing/stage.ts";
import { HttpListener } from "./http-listener.ts";
import type { HttpRequest } from "./http-request.ts";
import type { HttpResponse } from "./http-response.ts";
import { answerWith } from "./testing/played-connection.ts";

const IDENTITY = selfSigned();
const GET = "GET / HTTP/1.1\r\n\r\n";

interface Played {
  readonly listener: HttpListener;
  readonly clock: FakeClock;
  readonly port: number;
  readonly bugs: unknown[];
  onRequest: (request: HttpRequest, response: HttpResponse) => void;
}

async function play(context: TestContext, speaksTls = false, headersTimeoutMs = 3_000): Promise<Played> {
  const clock = new FakeClock();
  const bugs: unknown[] = [];
  const listener = new HttpListener({
    clock,
    speaksTls,
    limits: {
      headerBytesMax: 1_000,
      headersTimeoutMs,
      requestTimeoutMs: 9_000,
      timeoutCheckMs: 1_000,
      keepAliveTimeoutMs: 5_000,
    },
    handlers: {
      refusalOf: (reason) => reason,
      onRequest: (request, response) => played.onRequest(request, response),
      takesOver: () => false,
      onTakenOver() {},
      onBug: (error) => bugs.push(error),
    },
  });
  if ("setSecureContext" in listener.server) listener.server.setSecureContext(IDENTITY);
  context.after(() => {
    listener.server.close();
    listener.closeAll();
  });
  await new Promise<void>((resolve) => void listener.server.listen(0, "127.0.0.1", resolve));
  const { port } = listener.server.address() as AddressInfo;
  const played: Played = { listener, clock, port, bugs, onRequest: (_, response) => answerWith(response, "") };
  return played;
}

interface Client {
  readonly socket: Socket;
  heard: string;
  isClosed: boolean;
}

function listenTo(socket: Socket): Client {
  const client = { socket, heard: "", isClosed: false };
  socket.on("data", (data) => void (client.heard += data.toString()));
  socket.on("error", () => {});
  socket.on("close", () => void (client.isClosed = true));
  return client;
}

async function open({ port }: Pick<Played, "port">): Promise<Client> {
  const socket = connect({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  return listenTo(socket);
}

async function openTls({ port }: Pick<Played, "port">, maxVersion: "TLSv1.2" | "TLSv1.3" = "TLSv1.3"): Promise<Client> {
  const socket = connectTls({ port, host: "127.0.0.1", ca: IDENTITY.cert, maxVersion });
  await once(socket, "secureConnect");
  return listenTo(socket);
}

test("Time runs while there are connections, and for no longer than one look after", async (context) => {
  const played = await play(context);
  assert.equal(played.clock.pending, 0);
  const client = await open(played);
  client.socket.write(GET);
  await until(() => client.heard.includes("200"), "the answer");
  assert.equal(played.clock.pending, 1);
  await played.clock.pass(5_000);
  assert.equal(client.isClosed, false);
  await played.clock.pass(2_000);
  await until(() => client.isClosed, "the idle connection goes");
  await played.clock.pass(1_000);
  assert.equal(played.clock.pending, 0);
});

test("A listener that is closed leaves no timer, no connection, and no socket that was about to be one", async (context) => {
  for (const speaksTls of [false, true]) {
    const played = await play(context, speaksTls, 600_000);
    played.onRequest = () => {};
    const [idle, busy] = speaksTls
      ? [await openTls(played), await openTls(played)]
      : [await open(played), await open(played)];
    const silent = await open(played);
    busy.socket.write(GET);
    await until(() => played.clock.pending > 0, "the connections");
    const closed = once(played.listener.server, "close");
    played.listener.server.close();
    played.listener.closeAll();
    await closed;
    await until(() => idle.isClosed && busy.isClosed && silent.isClosed, "all have gone");
    assert.equal(played.clock.pending, 0);
  }
});

test("Idle connections are closed; one that is busy is closed when it is idle", async (context) => {
  const played = await play(context);
  const answers: HttpResponse[] = [];
  played.onRequest = (_, response) => void answers.push(response);
  const [idle, busy, halfSent] = [await open(played), await open(played), await open(played)];
  busy.socket.write(GET);
  halfSent.socket.write("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nx");
  await until(() => answers.length === 2, "the requests");
  for (const response of answers) answerWith(response, "");
  await until(() => busy.heard !== "" && halfSent.heard !== "", "the answers");
  played.listener.server.close();
  played.listener.closeIdle();
  await until(() => idle.isClosed && busy.isClosed, "the idle ones go");
  assert.equal(halfSent.isClosed, false);
  halfSent.socket.write("y");
  await until(() => halfSent.isClosed, "the other one goes");
  await until(() => played.clock.pending === 0, "the timer goes");
});

test("What is no TLS is shown the door, and so is a client that would negotiate again", async (context) => {
  const played = await play(context, true);
  const plain = await open(played);
  plain.socket.write(GET);
  await until(() => plain.isClosed, "plain HTTP is closed");
  assert.equal(plain.heard.includes("HTTP"), false);
  const again = await openTls(played, "TLSv1.2");
  const { socket } = again;
  (socket as TLSSocket).renegotiate({}, () => {});
  socket.write(GET);
  await until(() => again.isClosed || again.heard.includes("200"), "an end or an answer");
  const other = await openTls(played);
  other.socket.write(GET);
  await until(() => other.heard.includes("200"), "others go on");
  assert.deepEqual(played.bugs, []);
});

test("A client that stays in its handshake is closed", async (context) => {
  const played = await play(context, true, 50);
  const silent = await open(played);
  await until(() => silent.isClosed, "the silent one goes");
});

test("Over TLS a whole answer has the word that ends it, and one that was cut has not", async (context) => {
  const played = await play(context, true);
  for (const isCut of [true, false]) {
    played.onRequest = (_, response) => {
      response.writeHead(200, []);
      if (isCut) response.endAbruptly(Buffer.from("part"));
      else response.end(Buffer.from("part"));
    };
    const { relay, records } = await relayTo(context, played.port);
    // In this version the kind of a record can be seen from outside.
    const client = await openTls({ port: relay }, "TLSv1.2");
    client.socket.write("GET / HTTP/1.0\r\n\r\n");
    await until(() => client.isClosed, "the connection goes");
    assert.match(client.heard, /part$/);
    assert.equal(kindOfLastRecord(Buffer.concat(records)), isCut ? "data" : "alert");
  }
});

/** A listener before the other one, which keeps what comes back. */
async function relayTo(
  context: TestContext,
  port: number,
): Promise<{ readonly relay: number; readonly records: Buffer[] }> {
  const records: Buffer[] = [];
  const server = createServer((near) => {
    const far = connect({ port, host: "127.0.0.1" });
    for (const socket of [near, far]) socket.on("error", () => {});
    far.on("data", (bytes: Buffer) => records.push(bytes));
    far.pipe(near).pipe(far);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  return { relay: (server.address() as AddressInfo).port, records };
}

function kindOfLastRecord(bytes: Buffer): string {
  let kind = 0;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) kind = bytes[at] ?? 0;
  return { 21: "alert", 23: "data" }[kind] ?? String(kind);
}

test("Time is kept for each connection", async (context) => {
  const played = await play(context);
  const silent = await open(played);
  await until(() => played.clock.pending === 1, "the connection");
  await played.clock.pass(3_000);
  assert.equal(silent.heard, "");
  await played.clock.pass(1_000);
  await until(() => silent.heard === "too slow", "the refusal");
  await played.clock.pass(1_000);
  await until(() => silent.isClosed, "its end");
});
