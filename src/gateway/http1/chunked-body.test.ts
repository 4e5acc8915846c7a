import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ChunkedBody, type ChunkProgress } from "./chunked-body.ts";

interface Read {
  readonly body: string;
  readonly progress: ChunkProgress;
  /** What has not been looked at any more. */
  readonly rest: string;
  /** How often a part of the body was handed over. */
  readonly parts: number;
}

/** Reads what comes in pieces of these sizes, the last one again and again. */
function read(text: string, sizes: readonly number[] = [text.length]): Read {
  const chunks = new ChunkedBody();
  const data: Buffer[] = [];
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0, piece = 0; at < bytes.length; piece += 1) {
    const end = at + Math.max(1, sizes[Math.min(piece, sizes.length - 1)] ?? 1);
    const part = Buffer.from(bytes.subarray(at, end));
    const progress = chunks.push(part, 0, { onBodyData: (one) => data.push(one) });
    at = Math.min(end, bytes.length);
    if (progress === "more") continue;
    const rest = part.toString("latin1", chunks.restAt) + bytes.toString("latin1", at);
    return { body: Buffer.concat(data).toString("latin1"), progress, rest, parts: data.length };
  }
  return { body: Buffer.concat(data).toString("latin1"), progress: "more", rest: "", parts: data.length };
}

const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 });
const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,8}$/);
const extension = fc.oneof(
  fc.constant(""),
  token.map((name) => `;${name}`),
  fc.tuple(token, token).map(([a, b]) => `;${a}=${b}`),
);
const trailer = fc.stringMatching(/^x-[a-z]{1,5}:[ -~]{0,9}$/);

const body = fc.record({
  parts: fc.array(fc.tuple(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), extension), {
    maxLength: 8,
  }),
  end: fc.tuple(extension, fc.array(trailer, { maxLength: 3 })),
});

function inChunks({ parts, end: [ext, trailers] }: { parts: [string, string][]; end: [string, string[]] }): string {
  const chunks = parts.map(([data, more]) => `${data.length.toString(16)}${more}\r\n${data}\r\n`);
  return `${chunks.join("")}0${ext}\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`;
}

test("However its bytes are split, a body is the same, and so is its end", () => {
  fc.assert(
    fc.property(body, fc.string({ unit: "binary-ascii" }), sizes, (made, behind, pieces) => {
      const result = read(inChunks(made) + behind, pieces);
      assert.equal(result.progress, "end");
      assert.equal(result.body, made.parts.map(([data]) => data).join(""));
      assert.equal(result.rest, behind);
    }),
  );
});

test("Whatever the bytes are, splitting them changes nothing", () => {
  const noise = fc.string({
    unit: fc.constantFrom("0", "1", "2", "a", "\r", "\n", "\r\n", ";", "=", ":", " ", "\t", "\0"),
    maxLength: 60,
  });
  fc.assert(
    fc.property(
      fc.oneof(
        noise,
        fc.tuple(body, noise).map(([made, more]) => inChunks(made).slice(0, -3) + more),
      ),
      sizes,
      (text, pieces) => {
        const { parts: _, ...whole } = read(text);
        const { parts: __, ...split } = read(text, pieces);
        assert.deepEqual(split, whole);
      },
    ),
    { numRuns: 2_000 },
  );
});

const BROKEN: Readonly<Record<string, string>> = {
  "no size": "\r\n",
  "a size that is none": "x\r\n",
  "a size in disguise": "0x1\r\na\r\n",
  "a negative size": "-1\r\n",
  "a signed size": "+1\r\na\r\n",
  "a blank before the size": " 1\r\na\r\n",
  "a blank behind the size": "1 \r\na\r\n",
  "a size too long to be one": "1000000000000\r\n",
  "zeros without end": "0000000000001\r\n",
  "a size that ends in a line feed": "1\na\r\n",
  "a size that ends in a carriage return": "1\rxa\r\n0\r\n\r\n",
  "a last size that ends in a carriage return": "0\rx\r\n",
  "data without an end": "1\r\nab\r\n",
  "data that ends in a line feed": "1\r\na\n0\r\n\r\n",
  "an extension without a name": "1;\r\na\r\n",
  "an extension of blanks": "1; a\r\na\r\n",
  "an extension without a value": "1;a=\r\na\r\n",
  "two values of an extension": "1;a=b=c\r\na\r\n",
  "a quoted extension": '1;a="b"\r\na\r\n',
  "a line feed in an extension": "1;a\na\r\n",
  "a control character in an extension": "1;a\x01\r\na\r\n",
  "a trailer without a colon": "0\r\na\r\n\r\n",
  "a trailer without a name": "0\r\n: a\r\n\r\n",
  "a folded trailer": "0\r\na: b\r\n c\r\n\r\n",
  "a blank in a trailer's name": "0\r\na : b\r\n\r\n",
  "a bare line feed in a trailer": "0\r\na: b\n\r\n",
  "a NUL in a trailer": "0\r\na: \0\r\n\r\n",
  "a length in the trailer": "0\r\na: b\r\nContent-Length: 5\r\n\r\n",
  "chunks in the trailer": "0\r\ntransfer-encoding: chunked\r\n\r\n",
  "a last line that is cut": "0\r\n\ra",
};

for (const [what, text] of Object.entries(BROKEN)) {
  test(`A body with ${what} is broken, however it is split`, () => {
    for (const size of [text.length, 1, 2, 3]) assert.equal(read(text, [size]).progress, "broken", `by ${size}`);
  });
}

test("Extensions and trailers have a limit, all together", () => {
  const long = "x".repeat(16_384);
  assert.equal(read(`1;${long}`).progress, "extensions too long");
  assert.equal(read(`0\r\nx:${long}`).progress, "extensions too long");
  assert.equal(read("1;a\r\nx\r\n".repeat(8_193)).progress, "extensions too long");
  assert.equal(read(`1;${long.slice(10)}\r\na\r\n0\r\nx: y\r\n\r\n`).progress, "end");
});

test("Sizes may be written in capitals, and with some zeros before them", () => {
  assert.equal(read("00000000000A\r\n0123456789\r\n0\r\n\r\n").body, "0123456789");
});

test("The chunks of one packet are handed over in one part, and a single one where it lies", () => {
  const small = read("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\nrest");
  assert.deepEqual(small, { body: "abc", progress: "end", rest: "rest", parts: 1 });
  const bytes = Buffer.from("5\r\nhello\r\n");
  let part: Buffer = Buffer.alloc(0);
  new ChunkedBody().push(bytes, 0, { onBodyData: (one) => void (part = one) });
  assert.equal(part.buffer, bytes.buffer);
  assert.equal(part.byteOffset, bytes.byteOffset + 3);
});
