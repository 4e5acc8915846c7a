import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import * as fc from "fast-check";
import { BodyIntake, type RequestBody } from "./body.ts";
import { OPAQUE_FORM } from "./body-ask.ts";
import { HttpRequest } from "./http1/http-request.ts";
import { readRequestHead } from "./http1/request-head.ts";
import { MemorySocket } from "./http1/testing/memory-socket.ts";
import { collectGarbage } from "./testing/garbage.ts";

interface Intake {
  readonly request: HttpRequest;
  readonly body: Promise<RequestBody>;
}

function intake(memoryBytesMax: number): Intake {
  const head = readRequestHead("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n");
  assert.ok(head !== null);
  const request = new HttpRequest(head, new MemorySocket());
  const body = new Promise<RequestBody>((resolve, reject) => {
    const limits = { bodyBytesMax: 10_000_000, memoryBytesMax, spoolFolder: tmpdir() };
    const owner = { onBody: resolve, onBodyRefused: reject };
    assert.ok(new BodyIntake(request, OPAQUE_FORM, limits, owner));
  });
  return { request, body };
}

async function bytesOf(body: RequestBody): Promise<Buffer> {
  if (Buffer.isBuffer(body)) return body;
  const chunks: Buffer[] = [];
  for await (const chunk of body.read()) chunks.push(chunk as Buffer);
  body.dispose();
  return Buffer.concat(chunks);
}

test("However a body comes in pieces, small and large, it is the same, in memory and on disk", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 9 }),
    fc.uint8Array({ minLength: 1_020, maxLength: 1_030 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 12 }),
      fc.constantFrom(0, 2_000, 1_000_000),
      async (pieces, memory) => {
        const { request, body } = intake(memory);
        for (const one of pieces) request.feed(Buffer.from(one));
        request.complete();
        request.tellEnd();
        assert.deepEqual(await bytesOf(await body), Buffer.concat(pieces));
      },
    ),
  );
});

test("A body that comes byte by byte takes hardly more memory than its bytes", async () => {
  const { request, body } = intake(1_000_000);
  const before = settledMemory();
  for (let left = 300_000; left > 0; left -= 1) request.feed(Buffer.alloc(1, "x"));
  const taken = settledMemory() - before;
  request.complete();
  request.tellEnd();
  assert.equal((await body).length, 300_000);
  assert.ok(taken < 10_000_000, `${taken} bytes`);
});

function settledMemory(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
