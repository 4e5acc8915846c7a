import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { test } from "node:test";
import { request } from "undici";
import { EnginePool } from "./engine-pool.ts";
import { RawEngine, Recorder, send, start, until, withEngine, type Options } from "./testing/raw-engine.ts";

test("A request goes out as one message, and its answer is told in order", async (context) => {
  const { engine, pool } = await withEngine(context);
  const recorder = await send(pool, { path: "/v1/x?y=%20z" });
  assert.deepEqual(engine.requests, [
    `POST /v1/x?y=%20z HTTP/1.1\r\nhost: 127.0.0.1:${engine.port}\r\nx-a: 1\r\ncontent-length: 2\r\n\r\n{}`,
  ]);
  assert.deepEqual(recorder.told, ["start", "head", "data", "end"]);
  assert.equal(recorder.text, "fine");
  assert.deepEqual({ ...recorder.headers }, { "content-length": "4" });
});

test("The length of a body is said where one is expected, and of none where not", async (context) => {
  const { engine, pool } = await withEngine(context);
  await send(pool, { body: null });
  await send(pool, { body: null, method: "GET", headers: null });
  assert.match(engine.requests[0] ?? "", /\r\ncontent-length: 0\r\n\r\n$/);
  assert.doesNotMatch(engine.requests[1] ?? "", /content-length/);
});

test("The pool's own headers go on each request, also on what undici sends", async (context) => {
  const { engine, pool } = await withEngine(context, ["authorization", "Bearer x"]);
  await send(pool);
  await send(pool, { headers: { "x-b": ["2", "3"] } });
  await send(pool, { body: Readable.from([Buffer.from("{}")]), headers: ["content-length", "2"] });
  assert.equal(engine.requests.length, 3);
  for (const each of engine.requests) assert.match(each, /\r\nauthorization: Bearer x\r\n/);
  assert.match(engine.requests[1] ?? "", /\r\nx-b: 2\r\nx-b: 3\r\n/);
});

for (const [what, options] of [
  ["a line end in a value", { headers: ["x-a", "1\r\nx-b: 2"] }],
  ["a zero byte in a value", { headers: ["x-a", "\0"] }],
  ["a letter that Latin-1 lacks in a value", { headers: ["x-a", "Ā"] }],
  ["a line end in a name", { headers: ["x-a\r\nx-b", "1"] }],
  ["an empty name", { headers: ["", "1"] }],
  ["a name without a value", { headers: ["x-a"] }],
  ["a blank in the path", { path: "/a b" }],
  ["a line end in the path", { path: "/a\r\nx-b: 2" }],
  ["no path", { path: "a" }],
  ["a line end in the method", { method: "POST / HTTP/1.1\r\nx-b: 2" }],
  ["a coding of its own", { headers: ["transfer-encoding", "chunked"] }],
] as const) {
  test(`A request with ${what} is refused, and nothing of it is sent`, async (context) => {
    const { engine, pool } = await withEngine(context);
    const recorder = await send(pool, options as unknown as Options);
    assert.equal(recorder.error?.code, "UND_ERR_INVALID_ARG");
    assert.deepEqual(recorder.told, ["error"]);
    assert.deepEqual(engine.requests, []);
  });
}

test("The connection used last is used next; there are as many as there are requests", async (context) => {
  const { engine, pool } = await withEngine(context);
  const first = [start(pool), start(pool), start(pool)];
  await Promise.all(first.map(({ over }) => over));
  assert.equal(engine.sockets.length, 3);
  await send(pool);
  const last = engine.sockets.findLast((socket) => socket.bytesWritten > 50);
  for (let round = 0; round < 4; round += 1) await send(pool);
  assert.equal(engine.sockets.length, 3);
  assert.ok((last?.bytesWritten ?? 0) > 5 * 40, "one connection had all of them");
});

test("From within the end of an answer, the next request goes over the same connection", async (context) => {
  const { engine, pool } = await withEngine(context);
  const second = new Recorder();
  const first = new Recorder();
  first.onTold = (what) => what === "end" && start(pool, {}, second);
  await send(pool, {}, first);
  assert.equal(second.told[0], "start", "it is sent at once");
  await second.over;
  assert.equal(engine.sockets.length, 1);
});

for (const [what, answer] of [
  ["says that it closes", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfine"],
  ["speaks HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nfine"],
  ["wants it to be kept no longer", "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 4\r\n\r\nfine"],
  [
    "says two things of the length",
    "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
  ],
  ["says more than its answer", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfinest"],
] as const) {
  test(`A connection whose engine ${what} is not used again, and the answer is fine`, async (context) => {
    const { engine, pool } = await withEngine(context);
    engine.answer = (socket) => socket.write(answer);
    for (let round = 0; round < 2; round += 1) {
      const recorder = await send(pool);
      assert.deepEqual([recorder.error, recorder.text], [null, "fine"]);
    }
    assert.equal(engine.sockets.length, 2);
  });
}

test("An idle connection on which something comes, or that the engine ends, is not used again", async (context) => {
  for (const [what, spoil] of [
    ["bytes", (engine: RawEngine) => engine.sockets[0]?.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")],
    ["an end", (engine: RawEngine) => engine.sockets[0]?.end()],
  ] as const) {
    const { engine, pool } = await withEngine(context);
    await send(pool);
    const gone = once(engine.sockets[0] ?? process, "close");
    const beganAtMs = performance.now();
    spoil(engine);
    await gone;
    // Any idle connection is closed after 4 s.
    assert.ok(performance.now() - beganAtMs < 3_000, `${what}: it is closed only because it was idle`);
    assert.equal((await send(pool)).text, "fine", what);
    assert.equal(engine.sockets.length, 2);
  }
});

test("An idle connection is closed before the engine would, also where the engine names the time", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\nkeep-alive: timeout=2\r\ncontent-length: 0\r\n\r\n");
  await send(pool);
  const idleSinceMs = performance.now();
  const [socket] = engine.sockets;
  assert.ok(socket !== undefined);
  await once(socket, "close");
  const idleMs = performance.now() - idleSinceMs;
  assert.ok(idleMs > 900 && idleMs < 2_000, `${idleMs} ms`);
});

test("A connection that was idle for too long is not used, also where the program was too busy to close it", async (context) => {
  const { engine, pool } = await withEngine(context);
  await send(pool);
  const now = performance.now.bind(performance);
  context.mock.method(performance, "now", () => now() + 4_000);
  await send(pool);
  assert.equal(engine.sockets.length, 2);
});

test("Where nobody listens the handler hears why, and that nothing was sent", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.stopListening();
  const recorder = await send(pool);
  assert.equal(recorder.error?.code, "ECONNREFUSED");
  assert.deepEqual(recorder.told, ["error"]);
});

test("A connection that is not made within 5 s is given up", async (context) => {
  const full = createTcpServer();
  full.listen({ port: 0, host: "127.0.0.1", backlog: 1 });
  await once(full, "listening");
  const { port } = full.address() as AddressInfo;
  full.removeAllListeners("connection");
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const pool = new EnginePool(`http://127.0.0.1:${port}`, []);
  const recorder = start(pool);
  // The timer is set, and nothing has been heard from the network in this turn.
  context.mock.timers.tick(5_000);
  await recorder.over;
  assert.equal(recorder.error?.code, "UND_ERR_CONNECT_TIMEOUT");
  assert.deepEqual(recorder.told, ["error"]);
  await pool.destroy();
  full.close();
});

test("A name with two addresses, and an address in brackets, are found", async (context) => {
  const engine = new RawEngine();
  context.after(() => engine.close());
  await engine.listen("localhost");
  const named = new EnginePool(`http://localhost:${engine.port}`, []);
  assert.equal((await send(named)).text, "fine");
  assert.match(engine.requests[0] ?? "", /\r\nhost: localhost:/);
  await named.destroy();
  const six = new RawEngine();
  context.after(() => six.close());
  try {
    await six.listen("::1");
  } catch {
    return context.skip("no IPv6 here");
  }
  const bracketed = new EnginePool(`http://[::1]:${six.port}`, []);
  assert.equal((await send(bracketed)).text, "fine");
  assert.match(six.requests[0] ?? "", /\r\nhost: \[::1\]:/);
  return bracketed.destroy();
});

test("After `destroy` nothing is sent, what waits hears of it at once, and what is under way a moment later", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = () => {};
  const running = start(pool);
  await until(() => engine.requests.length === 1, "the request has arrived");
  const waiting = start(pool);
  const destroyed = pool.destroy();
  assert.deepEqual([waiting.told, running.told], [["error"], ["start"]]);
  await running.over;
  await destroyed;
  assert.deepEqual([running.error?.code, waiting.error?.code], ["UND_ERR_DESTROYED", "UND_ERR_DESTROYED"]);
  const late = start(pool);
  assert.deepEqual([late.told, late.error?.code], [["error"], "UND_ERR_DESTROYED"]);
  await until(() => engine.sockets.every(({ destroyed: isGone }) => isGone), "the engine sees the end");
});

test("`close` lets what is under way come to its end, and nothing more", async (context) => {
  const { engine, pool } = await withEngine(context);
  await send(pool);
  engine.answer = () => {};
  const running = start(pool);
  await until(() => engine.requests.length === 2, "the request has arrived");
  const closed = pool.close();
  const late = start(pool);
  assert.equal(late.error?.code, "UND_ERR_CLOSED");
  engine.sockets[0]?.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  await closed;
  assert.deepEqual(running.told, ["start", "head", "end"]);
});

test("What undici offers on top of a dispatcher works: requests with an answer to read, and with a signal", async (context) => {
  const { engine, pool, origin } = await withEngine(context);
  const { statusCode, body } = await request(`${origin}/a`, { dispatcher: pool, method: "POST", body: "text" });
  assert.deepEqual([statusCode, await body.text()], [200, "fine"]);
  assert.match(engine.requests[0] ?? "", /\r\n\r\ntext$/);
  engine.answer = () => {};
  const signal = AbortSignal.timeout(20);
  await assert.rejects(pool.request({ origin, path: "/", method: "GET", signal }), { name: "TimeoutError" });
  assert.equal(engine.sockets.length, 1);
});

test("Another protocol on the same connection is undici's affair", async (context) => {
  const server = createServer();
  server.on("upgrade", (_request, socket) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pool = new EnginePool(origin, []);
  const { socket } = await pool.upgrade({ path: "/", protocol: "websocket" });
  const [greeting] = (await once(socket, "data")) as [Buffer];
  assert.equal(greeting.toString(), "hello");
  socket.destroy();
  context.after(async () => {
    await pool.destroy();
    server.close();
  });
});
