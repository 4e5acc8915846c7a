/**
 * An engine's development routes put it to sleep, stop its work and run code in it. They listen on the same port as those that clients
 * may use, so that nothing but the gateway's list of paths stands before them: here they are asked for in every spelling there is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { hashOfKey } from "../base/api-key.ts";
import { chat, RawClient } from "./testing/client.ts";
import { createStage, until, type Stage } from "./testing/stage.ts";

const DEV_PATHS = [
  "/sleep",
  "/wake_up",
  "/is_sleeping",
  "/collective_rpc",
  "/pause",
  "/resume",
  "/is_paused",
  "/reset_prefix_cache",
  "/reset_mm_cache",
  "/server_info",
  "/load",
  "/version",
  "/metrics",
  "/docs",
  "/openapi.json",
  "/v1/load_lora_adapter",
  "/v1/unload_lora_adapter",
  "/release_memory_occupation",
  "/resume_memory_occupation",
  "/inference/v1/generate",
] as const;

/** What engines serve to clients; the way from there to the others must not lead through the gateway either. */
const OPEN_PATHS = ["/v1/chat/completions", "/tokenize", "/v1/models", "/health", "/v1/messages", "/"] as const;

const METHODS = ["POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "QUERY", "PROPFIND"] as const;

/** Ways to write a path so that somebody who reads it less strictly takes it for another one. */
const SPELLINGS: readonly ((path: string, at: number) => string)[] = [
  (path, at) => percentEncoded(path, at, 1),
  (path, at) => percentEncoded(path, at, 3),
  (path, at) => percentEncoded(path, at, 1).replaceAll("%", "%25"),
  (path) => path.replace(/./g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`),
  (path, at) => path.slice(0, at) + path.slice(at).toUpperCase(),
  (path) => path.replaceAll("/", "//"),
  (path) => path.replaceAll("/", "///"),
  (path) => path.replaceAll("/", "/./"),
  (path) => path.replaceAll("/", "/x/../"),
  (path) => path.replaceAll("/", "\\"),
  (path) => path.replaceAll("/", "%2f"),
  (path) => path.replaceAll("/", "/%2e/"),
  (path) => `/v1/..${path}`,
  (path) => `/v1/chat/completions/../../..${path}`,
  (path) => `/v1/chat/completions/..;/..${path}`,
  (path) => `/v1/models/..%2f..${path}`,
  (path) => `/v1/models/%2e%2e/%2e%2e${path}`,
  (path) => `/health/..${path}`,
  (path) => `/%2e%2e${path}`,
  (path) => `/..${path}`,
  (path) => `/upstream/alpha${path}`,
  (path) => `/upstream/alpha/..${path}`,
  (path) => `/upstream/alpha/v1/..${path}`,
  (path) => `/alpha${path}`,
  (path) => `http://127.0.0.1${path}`,
  (path) => `https://localhost:8000${path}`,
  (path) => `//127.0.0.1${path}`,
  (path) => `x:${path}`,
  (path) => path.slice(1),
  (path) => `?${path}`,
  (path) => `#${path}`,
  (path) => `${path}/`,
  (path) => `${path}/.`,
  (path) => `${path};v=1`,
  (path) => `${path}?level=2`,
  (path) => `${path}#v1`,
  (path) => `${path}%00`,
  (path) => `${path}%20`,
  (path) => `${path}%0d%0a`,
  (path) => `${path}%3flevel=2`,
  (path) => `${path}\t`,
  (path) => `${path}\u00e9`,
  (path) => `${path}%c0%af`,
  (path) => `${path}.json`,
];

function percentEncoded(path: string, at: number, length: number): string {
  const encoded = path.slice(at, at + length).replace(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`);
  return path.slice(0, at) + encoded + path.slice(at + length);
}

const target = fc
  .record({
    path: fc.constantFrom(...DEV_PATHS, ...DEV_PATHS, ...OPEN_PATHS),
    steps: fc.array(fc.tuple(fc.constantFrom(...SPELLINGS), fc.nat(30)), { maxLength: 3 }),
  })
  .map(({ path, steps }) => steps.reduce<string>((text, [spell, at]) => spell(text, at % (text.length + 1)), path));

/** The path as the most forgiving server there could be would read it. */
function asLenientlyRead(url: string): string {
  let path = url;
  for (let round = 0; round < 4; round += 1) {
    path = path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
  path = path.replace(/^[a-z]+:\/\/[^/]*/i, "").replace(/[?#;].*$/s, "");
  const kept: string[] = [];
  for (const part of path.replaceAll("\\", "/").split("/")) {
    if (part === "..") kept.pop();
    else if (part !== "" && part !== ".") kept.push(part.trim().toLowerCase());
  }
  return `/${kept.join("/")}`;
}

/** Sends one request, raw, and waits until it has been answered or refused. */
async function send(stage: Stage, method: string, where: string, headers: string): Promise<string> {
  const client = new RawClient(stage.port);
  const body = chat("alpha");
  const head = `${method} ${where} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\nconnection: close\r\n`;
  client.socket.write(Buffer.from(`${head}${headers}\r\n${body}`, "latin1"));
  const answer = await client.untilClosed();
  client.socket.destroy();
  return answer;
}

/** Whatever has reached an engine was on the list, letter for letter. */
function assertOnlyOpenPaths(stage: Stage, what: string): void {
  for (const engine of stage.engines.values()) {
    for (const { url, method } of engine.received.splice(0)) {
      const path = url.split("?", 1)[0] ?? "";
      assert.equal(method, "POST", what);
      assert.ok(
        OPEN_PATHS.some((open) => open === path),
        `${what} reached the engine as ${url}`,
      );
      assert.ok(!DEV_PATHS.some((dev) => dev === asLenientlyRead(url)), `${what} reached the engine as ${url}`);
    }
  }
}

test("The lenient reading, by which the others judge, sees through the spellings", () => {
  for (const url of [
    "/sleep",
    "/%2573leep",
    "//v1/../Sleep/",
    "/v1/chat/completions/../../../sleep;x?y",
    "http://127.0.0.1/sleep",
    "\\sleep",
  ]) {
    assert.equal(asLenientlyRead(url), "/sleep", url);
  }
});

test("No spelling of a development route reaches an engine, whatever the method", async (context) => {
  const stage = await createStage(context);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...METHODS), target, async (method, where) => {
      const what = `${method} ${JSON.stringify(where)}`;
      const answer = await send(stage, method, where, "");
      assert.match(answer, /^HTTP\/1\.1 [245]\d\d /, what);
      assertOnlyOpenPaths(stage, what);
      if (DEV_PATHS.some((dev) => dev === where)) assert.match(answer, /^HTTP\/1\.1 404 /, what);
    }),
    { numRuns: 600 },
  );
});

const AUTHORITIES = ["http://127.0.0.1", "https://x:8000", "HTTP://[::1]:80"] as const;

test("With scheme and authority before it, a development route is none either, whoever asks", async (context) => {
  const stage = await createStage(context, { adminKeyHash: hashOfKey("key") });
  for (const dev of DEV_PATHS) {
    for (const authority of AUTHORITIES) {
      for (const path of [dev, `/${dev}`, `/v1/..${dev}`, `/upstream/alpha/..${dev}`, `/${authority}${dev}`]) {
        const what = `POST ${authority}${path}`;
        for (const headers of ["", "authorization: Bearer key\r\n"]) {
          assert.match(await send(stage, "POST", authority + path, headers), /^HTTP\/1\.1 40[04] /, what);
          assertOnlyOpenPaths(stage, what);
        }
      }
    }
  }
  for (const dev of CONTROL_PATHS) {
    const answer = await send(stage, "POST", `http://x/upstream/alpha${dev}`, "authorization: Bearer key\r\n");
    assert.match(answer, /^HTTP\/1\.1 40[04] /, dev);
    assertOnlyOpenPaths(stage, dev);
  }
});

test("Headers that name another path do not lead there, and neither does an upgrade", async (context) => {
  const stage = await createStage(context);
  for (const dev of DEV_PATHS) {
    for (const headers of [
      `x-original-url: ${dev}\r\n`,
      `x-rewrite-url: ${dev}\r\n`,
      `x-forwarded-path: ${dev}\r\nx-forwarded-prefix: ${dev}\r\n`,
      `x-http-method-override: PUT\r\n`,
    ]) {
      await send(stage, "POST", "/v1/chat/completions", headers);
      assert.ok(stage.engine("alpha").received.length > 0);
      assertOnlyOpenPaths(stage, headers);
    }
    const client = new RawClient(stage.port);
    client.socket.write(`GET ${dev} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
    await until(() => client.isClosed || client.received.includes("\r\n\r\n"), "an answer to the upgrade");
    assert.doesNotMatch(client.received, /^HTTP\/1\.1 (?:101|2)/);
    client.socket.destroy();
    assertOnlyOpenPaths(stage, `upgrade of ${dev}`);
  }
});

test("A request that hides behind another one, by its length, is one of ours like any other", async (context) => {
  const stage = await createStage(context);
  const smuggled = "POST /sleep HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
  const body = chat("alpha");
  const post = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n";
  for (const bytes of [
    `${post}content-length: ${body.length}\r\n\r\n${body}${smuggled}`,
    `${post}content-length: ${body.length + smuggled.length}\r\n\r\n${body}${smuggled}`,
    `${post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    `${post}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n${smuggled}`,
    `${post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    `${post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    `${post}content-length: +${body.length}\r\n\r\n${body}${smuggled}`,
    `${post}content-length: ${body.length}\r\ncontent-length: 0\r\n\r\n${body}${smuggled}`,
    `${post}transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n${smuggled}`,
    `GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`,
    `GET /health HTTP/1.1\r\nhost: x\r\nx: y\n\n${smuggled}`,
    `GET /health HTTP/1.1\r\nhost: x\r\nx:\r\n \r\n${smuggled}`,
  ]) {
    const client = await RawClient.open(stage);
    client.socket.write(bytes);
    client.socket.write("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    await client.untilClosed();
    client.socket.destroy();
    assertOnlyOpenPaths(stage, JSON.stringify(bytes.slice(0, 120)));
  }
});

/** Those that change an engine's state, which nobody but the scheduler may. */
const CONTROL_PATHS = DEV_PATHS.filter(
  (path) => !["/version", "/metrics", "/docs", "/openapi.json"].includes(path),
).filter((path) => path !== "/inference/v1/generate");

test("An operator, who may ask an engine for other paths, may not have the scheduler's, in any spelling", async (context) => {
  const stage = await createStage(context, { adminKeyHash: hashOfKey("key") });
  const operator = "authorization: Bearer key\r\n";
  assert.match(await send(stage, "GET", "/upstream/alpha/metrics", operator), /^HTTP\/1\.1 200 /);
  assert.equal(stage.engine("alpha").received.splice(0)[0]?.url, "/metrics");
  const prefix = fc.constantFrom(
    "/upstream/alpha",
    "/upstream/alpha/",
    "/upstream/org/beta",
    "/upstream/org%2fbeta",
    "",
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...METHODS), prefix, target, async (method, before, where) => {
      const what = `${method} ${JSON.stringify(before + where)}`;
      const answer = await send(stage, method, before + where, operator);
      assert.match(answer, /^HTTP\/1\.1 [245]\d\d /, what);
      for (const engine of stage.engines.values()) {
        for (const { url } of engine.received.splice(0)) {
          assert.ok(!CONTROL_PATHS.some((dev) => dev === asLenientlyRead(url)), `${what} reached the engine as ${url}`);
        }
      }
    }),
    { numRuns: 600 },
  );
});

test("A key opens no development route either", async (context) => {
  const unlimited = { models: null, requestsPerMinute: null, inFlightMax: null, priority: null };
  const stage = await createStage(context, { apiKeys: [{ name: "one", hash: hashOfKey("key"), ...unlimited }] });
  for (const dev of DEV_PATHS) {
    assert.match(await send(stage, "POST", dev, "authorization: Bearer key\r\n"), /^HTTP\/1\.1 404 /, dev);
    assert.match(await send(stage, "POST", dev, ""), /^HTTP\/1\.1 401 /, dev);
  }
  assertOnlyOpenPaths(stage, "with a key");
});
