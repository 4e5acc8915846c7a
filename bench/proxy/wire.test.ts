import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { Wire } from "./wire.ts";

const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n";
const SIZED = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";

/** Asks for these answers, one after the other on one connection, each sent in pieces of so many bytes. */
async function ask(answers: readonly string[], pieceBytes: number): Promise<{ status: number; bytes: number }[]> {
  const left = [...answers];
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", () => {
      const pieces = left.shift()?.match(new RegExp(`[^]{1,${pieceBytes}}`, "g")) ?? [];
      const next = (): void => {
        const piece = pieces.shift();
        if (piece !== undefined) socket.write(piece, () => setImmediate(next));
      };
      next();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const wire = await Wire.open((server.address() as AddressInfo).port);
  const seen = [];
  for (const _ of answers) seen.push(await wire.ask(Buffer.from("GET / HTTP/1.1\r\n\r\n")));
  wire.close();
  server.close();
  return seen;
}

test("the client knows where an answer ends, wherever it is cut", async () => {
  for (const pieceBytes of [1, 3, 7, 1_000]) {
    const answers = await ask([CHUNKED, SIZED, CHUNKED], pieceBytes);
    const statuses = answers.map(({ status }) => status);
    assert.deepEqual(statuses, [200, 404, 200]);
    assert.equal(answers[1]?.bytes, 4);
  }
});
