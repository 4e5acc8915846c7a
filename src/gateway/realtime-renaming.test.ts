import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { RealtimeRenaming, withModelInQuery } from "./realtime-renaming.ts";
import { CLOSE, frame, FrameReader, PING, TEXT, unmask, type FrameHeader } from "./web-socket-frames.ts";

const BINARY = 2;
const MASK = Buffer.from([1, 2, 3, 250]);
const newRenaming = (): RealtimeRenaming => new RealtimeRenaming("org/a", (name) => name === "a" || name === "first");

/** A frame of a client; not the last of its message if `isFinal` is false. */
function said(opcode: number, text: string, isFinal = true): Buffer {
  const bytes = frame(opcode, Buffer.from(text), MASK);
  if (!isFinal) bytes[0] = opcode;
  return bytes;
}

/** The frames in what an engine gets, as `opcode payload`. */
function heard(bytes: Buffer): string[] {
  const frames: string[] = [];
  let current: FrameHeader | null = null;
  let payload: Buffer[] = [];
  const reader = new FrameReader({
    onHeader: (header) => (current = header),
    onPayload: (piece) => payload.push(piece),
    onFrameEnd: () => {
      assert.ok(current?.mask !== null && current !== null, "a client's frames are masked");
      frames.push(`${current.opcode} ${unmask(Buffer.concat(payload), current.mask).toString()}`);
      payload = [];
    },
  });
  assert.ok(reader.push(bytes) && reader.isAtBorder);
  return frames;
}

function pass(...chunks: readonly Buffer[]): Buffer {
  const renaming = newRenaming();
  return Buffer.concat(chunks.map((chunk) => renaming.push(chunk) ?? assert.fail("no frames")));
}

test("In session.update a name of the model becomes the engine's, beside the type and in the session, and others stay", () => {
  for (const [before, after] of [
    ['{"type":"session.update","model":"a"}', '{"type":"session.update","model":"org/a"}'],
    [
      '{"model":"first", "type":"session.update","more":["ä🙂"]}',
      '{"model":"org/a","type":"session.update","more":["ä🙂"]}',
    ],
    [
      '{"type":"session.update","session":{"x":1,"model":"a"}}',
      '{"type":"session.update","session":{"x":1,"model":"org/a"}}',
    ],
    [
      '{"type":"session.update","model":"b","session":{"model":"a"}}',
      '{"type":"session.update","model":"b","session":{"model":"org/a"}}',
    ],
  ] as const) {
    assert.deepEqual(heard(pass(said(TEXT, before))), [`${TEXT} ${after}`]);
  }
  for (const other of [
    '{"type":"session.update",  "model":"b"}',
    '{"type":"session.update","model":["a"],"session":null}',
    '{"type":"other","model":"a"}',
    '{"type":"session.update","model":"a"',
    "[]",
    "",
  ]) {
    assert.deepEqual(pass(said(TEXT, other)), said(TEXT, other));
  }
  const binary = said(BINARY, '{"type":"session.update","model":"a"}');
  assert.deepEqual(pass(binary), binary);
});

test("A name is found in a text of several frames, wherever they are cut, and what stands between them arrives", () => {
  const stream = Buffer.concat([
    said(TEXT, '{"type":"session.', false),
    said(PING, "you?"),
    said(0, 'update","model":', false),
    said(0, '"a"}'),
    said(BINARY, "sound"),
    said(TEXT, '{"type":"other"}'),
    said(CLOSE, ""),
  ]);
  fc.assert(
    fc.property(fc.array(fc.nat({ max: stream.length }), { maxLength: 30 }), (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
      const chunks = edges.slice(1).map((edge, index) => stream.subarray(edges[index], edge));
      assert.deepEqual(heard(pass(...chunks)), [
        `${PING} you?`,
        `${TEXT} {"type":"session.update","model":"org/a"}`,
        `${BINARY} sound`,
        `${TEXT} {"type":"other"}`,
        `${CLOSE} `,
      ]);
    }),
  );
});

test("A text that is too long to name a model goes on before it is whole, and the next one is looked at again", () => {
  const renaming = newRenaming();
  const long = said(TEXT, "x".repeat(3_000_000));
  const first = renaming.push(long.subarray(0, 2_000_000));
  assert.ok(first !== null && first.length === 2_000_000);
  const rest = renaming.push(long.subarray(2_000_000));
  assert.deepEqual(Buffer.concat([first, rest ?? assert.fail()]), long);
  const next = renaming.push(said(TEXT, '{"type":"session.update","model":"a"}'));
  assert.deepEqual(heard(next ?? assert.fail()), [`${TEXT} {"type":"session.update","model":"org/a"}`]);
});

test("Bytes that are no frames are told of, and a frame without a mask is the engine's to refuse", () => {
  assert.equal(newRenaming().push(Buffer.from([0xff, 0x80, 0, 0, 0, 0])), null);
  const plain = frame(TEXT, Buffer.from('{"type":"session.update","model":"a"}'));
  assert.deepEqual(pass(plain), plain);
});

test("In a query the model is renamed, and nothing else", () => {
  assert.equal(withModelInQuery("?model=a", "org/a b"), "?model=org%2Fa%20b");
  assert.equal(withModelInQuery("?x=%20&mod%65l=a&&model2=a", "b"), "?x=%20&model=b&&model2=a");
  assert.equal(withModelInQuery("?intent=transcription", "b"), "?intent=transcription");
  assert.equal(withModelInQuery("", "b"), "");
});
