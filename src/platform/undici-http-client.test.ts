import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { createEnginePool } from "./engine-pool/engine-pool.ts";
import { createHttpClient } from "./undici-http-client.ts";

let server: Server;
let origin: string;
let connections: number;
let paths: string[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let http: ReturnType<typeof createHttpClient>;
let pool: ReturnType<typeof createEnginePool>;

beforeEach(async () => {
  connections = 0;
  paths = [];
  answer = (_request, response) => response.end("fine");
  server = createServer((request, response) => {
    paths.push(request.url ?? "");
    answer(request, response);
  });
  server.on("connection", () => (connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  http = createHttpClient();
  pool = createEnginePool(origin);
});

afterEach(async () => {
  await pool.destroy();
  await http.close();
  server.closeAllConnections();
  server.close();
});

/** As the gateway sends: what is to happen next happens within the handler of the end. */
function send(path: string, onEnd: () => void): void {
  pool.dispatch(
    { origin, path, method: "POST", body: "{}" },
    {
      onRequestStart() {},
      onResponseStart() {},
      onResponseData() {},
      onResponseEnd: onEnd,
      onResponseError(_controller, error) {
        throw error;
      },
    },
  );
}

test("calls without connections of their own open one each", async () => {
  for (let round = 0; round < 3; round += 1) {
    assert.deepEqual(await http.call({ method: "POST", url: `${origin}/a`, timeoutMs: 5_000 }), {
      status: 200,
      body: "fine",
    });
  }
  assert.equal(connections, 3);
});

test("a call that follows from the end of a request goes over that request's connection, and so do further ones", async () => {
  const over = pool;
  const slept = await new Promise((resolve) => {
    send("/v1/completions", () => {
      resolve(http.call({ method: "POST", url: `${origin}/sleep`, timeoutMs: 5_000, over }));
    });
  });
  assert.deepEqual(slept, { status: 200, body: "fine" });
  await http.call({ method: "GET", url: `${origin}/is_sleeping`, timeoutMs: 5_000, over });
  assert.deepEqual(paths, ["/v1/completions", "/sleep", "/is_sleeping"]);
  assert.equal(connections, 1);
});

test("a call does not wait for requests that are still running", async () => {
  const held = Promise.withResolvers<ServerResponse>();
  answer = (request, response) => {
    if (request.url === "/v1/completions") held.resolve(response);
    else response.end("fine");
  };
  const ended = Promise.withResolvers<void>();
  send("/v1/completions", ended.resolve);
  const response = await held.promise;
  const { status } = await http.call({ method: "GET", url: `${origin}/is_sleeping`, timeoutMs: 5_000, over: pool });
  assert.equal(status, 200);
  response.end();
  await ended.promise;
});

test("an old connection that the engine closes under a call costs nothing", async () => {
  const used = new Map<Socket, number>();
  answer = (request, response) => {
    const uses = (used.get(request.socket) ?? 0) + 1;
    used.set(request.socket, uses);
    if (uses > 1) request.socket.destroy();
    else response.end("fine");
  };
  const call = { method: "POST", url: `${origin}/wake_up`, timeoutMs: 5_000, over: pool } as const;
  assert.equal((await http.call(call)).status, 200);
  assert.equal((await http.call(call)).status, 200);
  assert.deepEqual(paths, ["/wake_up", "/wake_up", "/wake_up"]);
});

test("an engine that closes every connection is not asked for ever", async () => {
  answer = (request) => request.socket.destroy();
  const call = { method: "POST", url: `${origin}/wake_up`, timeoutMs: 5_000, over: pool } as const;
  await assert.rejects(http.call(call), { code: "UND_ERR_SOCKET" });
  assert.deepEqual(paths, ["/wake_up", "/wake_up"]);
});

test("a call that is over its time, or broken off, is not made again", async () => {
  answer = () => {};
  const broken = new AbortController();
  const call = { method: "POST", url: `${origin}/sleep`, over: pool } as const;
  await assert.rejects(http.call({ ...call, timeoutMs: 20 }), { name: "TimeoutError" });
  const going = http.call({ ...call, timeoutMs: 20_000, signal: broken.signal });
  broken.abort();
  await assert.rejects(going, { name: "AbortError" });
  assert.ok(paths.length <= 2);
});

test("an answer that is too long is refused, whichever connection it comes over", async () => {
  answer = (_request, response) => response.end("x".repeat(1024 * 1024 + 1));
  const call = { method: "GET", url: `${origin}/is_sleeping`, timeoutMs: 5_000 } as const;
  await assert.rejects(http.call(call), /longer than/);
  await assert.rejects(http.call({ ...call, over: pool }), /longer than/);
});
