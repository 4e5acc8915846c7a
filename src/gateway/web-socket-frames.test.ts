import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { CLOSE, closeFrame, frame, FrameReader, unmask, type FrameHeader } from "./web-socket-frames.ts";

interface Seen {
  readonly opcode: number;
  readonly payload: string;
}

function read(chunks: readonly Buffer[]): { readonly seen: Seen[]; readonly isValid: boolean; readonly raw: Buffer } {
  const seen: Seen[] = [];
  const raw: Buffer[] = [];
  let current: FrameHeader | null = null;
  let payload: Buffer[] = [];
  const reader = new FrameReader({
    onHeader(header) {
      current = header;
      raw.push(header.bytes);
    },
    onPayload(piece) {
      payload.push(piece);
      raw.push(piece);
    },
    onFrameEnd() {
      const { opcode, mask } = current ?? assert.fail("no header");
      const whole = Buffer.concat(payload);
      seen.push({ opcode, payload: (mask === null ? whole : unmask(whole, mask)).toString("hex") });
      payload = [];
    },
  });
  const isValid = chunks.every((chunk) => reader.push(chunk));
  return { seen, isValid, raw: Buffer.concat([...raw, reader.headSoFar]) };
}

function cut(whole: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    pieces.push(whole.subarray(at, at + size));
    at += size;
  }
  return [...pieces, whole.subarray(at)];
}

test("Frames are read as they were written, masked or not, wherever they are cut", () => {
  const lengths = fc.oneof(fc.nat({ max: 200 }), fc.constantFrom(125, 126, 65_535, 65_536, 70_000));
  const one = fc.record({
    opcode: fc.constantFrom(0, 1, 2),
    length: lengths,
    mask: fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 })),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 5 }), fc.array(fc.integer({ min: 1, max: 300 })), (frames, sizes) => {
      const expected: Seen[] = [];
      const bytes = frames.map(({ opcode, length, mask }, index) => {
        const payload = Buffer.alloc(length, index + 1);
        expected.push({ opcode, payload: payload.toString("hex") });
        return frame(opcode, payload, mask === null ? null : Buffer.from(mask));
      });
      const whole = Buffer.concat(bytes);
      const { seen, isValid, raw } = read(cut(whole, sizes));
      assert.ok(isValid);
      assert.deepEqual(seen, expected);
      assert.ok(raw.equals(whole), "the pieces together are what came");
    }),
    { numRuns: 300 },
  );
});

test("What the protocol does not have is no frame: reserved bits and opcodes, split or long control frames, endless ones", () => {
  for (const bytes of [
    [0xc1, 0x00],
    [0x83, 0x00],
    [0x8b, 0x00],
    [0x09, 0x00],
    [0x88, 126, 0, 126],
    [0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0],
  ]) {
    assert.equal(read([Buffer.from(bytes)]).isValid, false, bytes.join(" "));
    assert.equal(read(bytes.map((byte) => Buffer.from([byte]))).isValid, false, bytes.join(" "));
  }
});

test("Any bytes at all are frames or not, and nothing is thrown", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array().map((bytes) => Buffer.from(bytes))), (chunks) => void read(chunks)));
});

test("The reason of a farewell is cut to what a control frame holds, and stays whole characters", () => {
  const { seen, isValid } = read([closeFrame(1011, "ä".repeat(100))]);
  assert.ok(isValid);
  assert.deepEqual(seen, [{ opcode: CLOSE, payload: `03f3${"c3a4".repeat(61)}` }]);
});
