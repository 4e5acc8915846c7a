import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { test } from "node:test";
import { writeChunk } from "./write-chunk.ts";

const PIECES = ["a", "data: grüße\n\n", "x".repeat(4_096), "y".repeat(4_097), "", "the end"].map((text) =>
  Buffer.from(text),
);

interface Seen {
  readonly head: string;
  readonly body: string;
}

/** What a client sees of an answer, its chunks put together. */
async function seenBy(
  request: string,
  head: readonly string[],
  write: (response: ServerResponse, piece: Buffer) => unknown,
): Promise<Seen> {
  const server = createServer((_request, response) => {
    response.writeHead(200, [...head]);
    for (const piece of PIECES) write(response, piece);
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.write(request);
  let seen = "";
  socket.setEncoding("latin1");
  for await (const text of socket as AsyncIterable<string>) seen += text;
  server.close();
  const end = seen.indexOf("\r\n\r\n");
  const body = seen.slice(end + 4);
  const isChunked = /transfer-encoding: chunked/i.test(seen.slice(0, end));
  return { head: seen.slice(0, end).replace(/^Date: .*\r\n/m, ""), body: isChunked ? unchunked(body) : body };
}

function unchunked(body: string): string {
  let text = "";
  for (let at = 0; at < body.length;) {
    const lineEnd = body.indexOf("\r\n", at);
    const length = Number.parseInt(body.slice(at, lineEnd), 16);
    text += body.slice(lineEnd + 2, lineEnd + 2 + length);
    at = lineEnd + 2 + length + 2;
    if (length === 0) assert.equal(at, body.length, "something follows the last chunk");
  }
  return text;
}

const asNode = (response: ServerResponse, piece: Buffer): boolean => response.write(piece);

for (const [what, request, head] of [
  ["in chunks", "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", []],
  ["to an old client", "GET / HTTP/1.0\r\n\r\n", []],
  ["of a known length", "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", ["content-length", "8214"]],
  ["without a body", "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", []],
] as const) {
  test(`an answer ${what} is what Node makes of it`, async () => {
    const ours = await seenBy(request, head, writeChunk);
    const theirs = await seenBy(request, head, asNode);
    assert.equal(ours.head, theirs.head);
    assert.ok(ours.body === theirs.body, "the bodies differ");
    const whole = Buffer.concat(PIECES).toString("latin1");
    assert.ok(ours.body === (request.startsWith("HEAD") ? "" : whole), "the body is not what was written");
  });
}
