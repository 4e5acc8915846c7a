/** Limits of the configuration, as clients of the real program meet them, while a stream runs that must not notice. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { until } from "../support/until.ts";
import { scenario } from "./support/scenario.ts";

interface Raw {
  readonly socket: Socket;
  /** What has come so far. */
  text: string;
}

async function rawTo(port: number): Promise<Raw> {
  const socket = connect(port, "127.0.0.1");
  const raw = { socket, text: "" };
  socket.on("data", (chunk: Buffer) => (raw.text += chunk.toString("latin1")));
  socket.on("error", () => {});
  await once(socket, "connect");
  return raw;
}

async function answerTo(port: number, bytes: string): Promise<string> {
  const raw = await rawTo(port);
  raw.socket.write(bytes);
  await until("an answer", () => raw.text.includes("\r\n\r\n") || raw.socket.destroyed);
  raw.socket.destroy();
  return raw.text;
}

const LIMITS = {
  max_connections: 5,
  max_header_bytes: 2048,
  header_timeout_secs: 0.3,
  body_timeout_secs: 0.3,
  keep_alive_secs: 0.5,
};

scenario(
  "Connections, headers, bodies and time have the limits that the configuration names, and what runs goes on",
  { models: { a: { mock: { itl_ms: 20 } } }, top: { limits: LIMITS, max_body_bytes: 1000 } },
  async (stage) => {
    const { port } = stage;
    const stream = await stage.client.stream("a", { tokens: 100 });
    await stream.begun();
    const head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\n";
    assert.match(
      await answerTo(port, `GET /v1/models HTTP/1.1\r\nhost: x\r\na: ${"x".repeat(3000)}\r\n\r\n`),
      /^HTTP\/1\.1 431 /,
    );
    assert.match(await answerTo(port, `${head}content-length: 1001\r\n\r\n`), /^HTTP\/1\.1 413 /);
    assert.match(await answerTo(port, head), /^HTTP\/1\.1 408 /);
    assert.match(await answerTo(port, `${head}content-length: 100\r\n\r\n{`), /^HTTP\/1\.1 408 /);
    const crowd = await Promise.all(Array.from({ length: 8 }, () => rawTo(port)));
    for (const { socket } of crowd) socket.write("GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n");
    await until("all are answered", () => crowd.every(({ text }) => text.includes("\r\n\r\n")));
    const refused = crowd.filter(({ text }) => text.startsWith("HTTP/1.1 503 "));
    assert.ok(refused.length >= 3, `${refused.length} of 8 connections were refused, beside a stream and a limit of 5`);
    for (const { text } of refused) assert.match(text, /\r\nretry-after: 1\r\n[^]*"code":"too_many_connections"/);
    await until("idle connections are closed", () =>
      crowd.every(({ socket }) => socket.readableEnded || socket.destroyed),
    );
    assert.equal(await stream.ended, "complete");
  },
);
