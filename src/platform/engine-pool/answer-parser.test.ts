import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { AnswerHead } from "./answer-head.ts";
import { AnswerParser, type AnswerListener } from "./answer-parser.ts";

/** Collects; copies what it is lent, and spoils nothing. */
class Collector implements AnswerListener {
  readonly heads: AnswerHead[] = [];
  readonly frames: Buffer[] = [];
  data: Buffer = Buffer.alloc(0);
  isStopped = false;
  wantsFrames: boolean;
  /** Stopped after each that is true, in order. */
  readonly #stops: boolean[];

  constructor(wantsFrames = false, stops: readonly boolean[] = []) {
    this.wantsFrames = wantsFrames;
    this.#stops = [...stops];
  }

  onHead(head: AnswerHead): void {
    assert.equal(this.isStopped, false);
    this.heads.push(head);
    this.#stop();
  }

  onData(bytes: Buffer, from: number, to: number): void {
    assert.equal(this.isStopped, false);
    assert.ok(to > from, "there is data");
    this.data = Buffer.concat([this.data, bytes.subarray(from, to)]);
    this.#stop();
  }

  onFrames(bytes: Buffer, from: number, to: number, dataBytes: number): void {
    assert.equal(this.isStopped, false);
    assert.ok(this.wantsFrames, "frames are wanted");
    const frames = Buffer.from(bytes.subarray(from, to));
    this.frames.push(frames);
    const data = unframed(frames.toString("latin1"));
    assert.equal(data.length, dataBytes);
    this.data = Buffer.concat([this.data, Buffer.from(data, "latin1")]);
    this.#stop();
  }

  #stop(): void {
    this.isStopped = this.#stops.shift() ?? false;
  }
}

function unframed(text: string): string {
  let data = "";
  for (let at = 0; at < text.length;) {
    const size = /^([0-9a-f]{1,8})\r\n/i.exec(text.slice(at, at + 12))?.[1];
    assert.ok(size !== undefined && Number.parseInt(size, 16) > 0, "it is whole chunks");
    const from = at + size.length + 2;
    const to = from + Number.parseInt(size, 16);
    data += text.slice(from, to);
    assert.equal(text.slice(to, to + 2), "\r\n");
    at = to + 2;
  }
  return data;
}

/** Feeds `bytes` in the reads that `cuts` make of it; behind each read lies what is not to be read. Returns how many were taken. */
function feed(parser: AnswerParser, listener: Collector, bytes: Buffer, cuts: readonly number[]): number {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let taken = 0;
  for (const end of [...ends, bytes.length]) {
    let rest = Buffer.concat([bytes.subarray(taken, end), Buffer.from("\r\n\r\n0\r\n\r\n")]);
    let length = end - taken;
    while (length > 0 && !parser.isComplete) {
      const at = parser.read(rest, 0, length);
      taken += at;
      rest = rest.subarray(at);
      length -= at;
      assert.ok(length === 0 || parser.isComplete || listener.isStopped, "it stops for a reason");
      listener.isStopped = false;
    }
  }
  return taken;
}

interface Answer {
  readonly bytes: Buffer;
  readonly data: Buffer;
  readonly interims: number;
}

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const text = fc.stringMatching(/^[ -~]{0,12}$/);
const headers = fc.array(
  fc.tuple(
    token.filter((name) => !["connection", "keep-alive"].includes(name)),
    text,
  ),
  { maxLength: 4 },
);
const extension = fc.option(
  text.map((value) => `;${value}`),
  { nil: "" },
);

const chunked = fc
  .record({
    chunks: fc.array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), extension, fc.boolean()), {
      maxLength: 6,
    }),
    lastExtension: extension,
    trailers: headers,
  })
  .map(({ chunks, lastExtension, trailers }) => {
    const parts = chunks.flatMap(([data, ext, isLarge]) => {
      const size = data.length.toString(16);
      return [
        Buffer.from(`${isLarge ? size.toUpperCase().padStart(3, "0") : size}${ext}\r\n`),
        data,
        Buffer.from("\r\n"),
      ];
    });
    const end = `0${lastExtension}\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
    return {
      head: "transfer-encoding: chunked",
      body: Buffer.concat([...parts, Buffer.from(end)]),
      data: Buffer.concat(chunks.map(([data]) => data)),
    };
  });

const plain = fc.uint8Array({ maxLength: 100 }).map((data) => ({
  head: `content-length: ${data.length}`,
  body: Buffer.from(data),
  data: Buffer.from(data),
}));

const answer: fc.Arbitrary<Answer> = fc
  .record({
    interims: fc.array(
      fc.constantFrom("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"),
      { maxLength: 2 },
    ),
    more: headers,
    content: fc.oneof(chunked, plain),
  })
  .map(({ interims, more, content }) => {
    const lines = more.map(([name, value]) => `X-${name}: ${value}\r\n`).join("");
    const head = `${interims.join("")}HTTP/1.1 200 OK\r\n${lines}${content.head}\r\n\r\n`;
    return { bytes: Buffer.concat([Buffer.from(head), content.body]), data: content.data, interims: interims.length };
  });

const cuts = fc.array(fc.nat(), { maxLength: 12 });

test("However an answer is cut into reads, it is the same, and what follows it is not touched", () => {
  fc.assert(
    fc.property(
      fc.array(answer, { minLength: 1, maxLength: 3 }),
      cuts,
      fc.boolean(),
      fc.array(fc.boolean(), { maxLength: 12 }),
      (answers, cutsAt, wantsFrames, stops) => {
        // One parser for all answers of a connection.
        let current = new Collector();
        const parser = new AnswerParser(listenerOf(() => current));
        for (const { bytes, data, interims } of answers) {
          const listener = new Collector(wantsFrames, stops);
          current = listener;
          parser.begin(false);
          assert.equal(feed(parser, listener, Buffer.concat([bytes, Buffer.from("HTTP")]), cutsAt), bytes.length);
          assert.ok(parser.isComplete);
          assert.deepEqual(
            listener.heads.map(({ status }) => status).filter((status) => status >= 200),
            [200],
          );
          assert.equal(listener.heads.length, interims + 1);
          assert.ok(listener.data.equals(data), "the data is what was sent");
        }
      },
    ),
  );
});

function listenerOf(current: () => Collector): AnswerListener {
  return {
    get isStopped() {
      return current().isStopped;
    },
    get wantsFrames() {
      return current().wantsFrames;
    },
    onHead: (head) => current().onHead(head),
    onData: (bytes, from, to) => current().onData(bytes, from, to),
    onFrames: (bytes, from, to, dataBytes) => current().onFrames(bytes, from, to, dataBytes),
  };
}

function parse(textOf: string, wantsFrames = false): { parser: AnswerParser; listener: Collector; taken: number } {
  const listener = new Collector(wantsFrames);
  const parser = new AnswerParser(listener);
  parser.begin(false);
  const taken = parser.read(Buffer.from(textOf), 0, textOf.length);
  return { parser, listener, taken };
}

const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

test("All whole chunks of a read are handed over at once, with their framing", () => {
  const { listener } = parse(`${CHUNKED}1\r\na\r\n0002\r\nbc\r\nA\r\n0123456789\r\n3\r\nde`, true);
  assert.deepEqual(listener.frames.map(String), ["1\r\na\r\n0002\r\nbc\r\nA\r\n0123456789\r\n"]);
  assert.equal(listener.data.toString(), "abc0123456789de");
});

test("A chunk with an extension and the last one are no frames", () => {
  const { listener, parser } = parse(`${CHUNKED}1\r\na\r\n1;x=y\r\nb\r\n1\r\nc\r\n0\r\n\r\n`, true);
  assert.deepEqual(listener.frames.map(String), ["1\r\na\r\n", "1\r\nc\r\n"]);
  assert.equal(listener.data.toString(), "abc");
  assert.ok(parser.isComplete);
});

test("An answer without a length goes on to the end of the connection; others do not end there", () => {
  const open = parse("HTTP/1.1 200 OK\r\n\r\nsome");
  assert.equal(open.parser.isComplete, false);
  assert.equal(open.parser.end(), true);
  assert.equal(open.listener.data.toString(), "some");
  for (const start of ["", "HTTP/1.1 20", `${CHUNKED}5\r\nab`, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcd"]) {
    assert.equal(parse(start).parser.end(), false, start);
  }
});

for (const [what, body] of [
  ["no size", "\r\n"],
  ["a size that is no number", "g\r\n"],
  ["a negative size", "-1\r\n"],
  ["a blank before its size", " 1\r\na\r\n"],
  ["a blank after its size", "1 \r\na\r\n"],
  ["too long a size", "000000001\r\na\r\n"],
  ["a line feed for a line end after the size", "1\na\r\n"],
  ["a line feed for a line end after the data", "1\r\na\n"],
  ["more data than its size", "1\r\nab\r\n"],
  ["a control character in its extension", "1;\x01\r\na\r\n"],
  ["a line feed in a trailer", "0\r\na: b\n\r\n"],
  ["no line end after the trailers", "0\r\n\rx"],
] as const) {
  test(`A chunk with ${what} is refused, whoever wants frames`, () => {
    for (const wantsFrames of [false, true]) {
      assert.throws(() => parse(`${CHUNKED}${body}`, wantsFrames), { name: "HTTPParserError" });
    }
  });
}

test("What is no HTTP is refused at its first byte", () => {
  assert.throws(() => parse("\x15\x03"), { name: "HTTPParserError" });
  assert.throws(() => parse("HTTP/2"), { name: "HTTPParserError" });
  assert.throws(() => parse("\r\nHTTP/1.1 200 OK\r\n\r\n"), { name: "HTTPParserError" });
});

test("Nobody asked for another protocol", () => {
  assert.throws(() => parse("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"), {
    code: "UND_ERR_SOCKET",
  });
});

test("Heads and trailers have a limit, however they come", () => {
  const header = `x-a: ${"a".repeat(1_000)}\r\n`;
  const overflow = { code: "UND_ERR_HEADERS_OVERFLOW" };
  assert.throws(() => parse(`HTTP/1.1 200 OK\r\n${header.repeat(70)}\r\n`), overflow);
  assert.throws(() => parse(`${CHUNKED}0\r\n${header.repeat(70)}\r\n`), overflow);
  const parser = new AnswerParser(new Collector());
  parser.begin(false);
  parser.read(Buffer.from("HTTP/1.1 200 OK\r\n"), 0, 17);
  assert.throws(() => {
    for (let round = 0; round < 70; round += 1) parser.read(Buffer.from(header), 0, header.length);
  }, overflow);
});

test("Whatever comes, it is an answer, a part of one, or refused by name", () => {
  const spoilt = fc
    .tuple(answer, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }))
    .map(([{ bytes }, changes]) => {
      const copy = Buffer.from(bytes);
      for (const [at, byte] of changes) copy[at % copy.length] = byte;
      return copy;
    });
  const noise = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(spoilt, noise), cuts, fc.boolean(), (bytes, cutsAt, wantsFrames) => {
      const listener = new Collector(wantsFrames);
      const parser = new AnswerParser(listener);
      parser.begin(false);
      try {
        feed(parser, listener, bytes, cutsAt);
      } catch (error) {
        assert.ok(error instanceof Error);
        assert.ok(["HTTPParserError", "HeadersOverflowError", "SocketError"].includes(error.name), error.message);
      }
    }),
  );
});

/** What a listener is told of answers that come one after the other. */
function toldOf(answers: readonly { isToHead: boolean; bytes: Buffer }[], where: readonly number[]): object[] {
  const listener = new Collector();
  const parser = new AnswerParser(listener);
  return answers.map(({ isToHead, bytes }) => {
    parser.begin(isToHead);
    assert.equal(feed(parser, listener, bytes, where), bytes.length);
    assert.equal(parser.isComplete, true);
    const head = listener.heads.pop();
    const data = listener.data.toString();
    listener.data = Buffer.alloc(0);
    return { ...head, headers: head?.headers.flat, data, keptMs: parser.keptMs };
  });
}

test("The answers of one connection are told as each one alone, whatever was the same before", () => {
  const one = fc
    .record({
      isToHead: fc.boolean(),
      isChunked: fc.boolean(),
      data: fc.stringMatching(/^[a-z]{0,20}$/),
      minute: fc.integer({ min: 10, max: 59 }),
    })
    .map(({ isToHead, isChunked, data, minute }) => {
      const chunks = `${data === "" ? "" : `${data.length.toString(16)}\r\n${data}\r\n`}0\r\n\r\n`;
      const body = isToHead ? "" : isChunked ? chunks : data;
      const framing = isChunked ? "transfer-encoding: chunked" : `content-length: ${data.length}`;
      const head = `HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 09:${minute}:00 GMT\r\n${framing}\r\na: b\r\n\r\n`;
      return { isToHead, bytes: Buffer.from(head + body) };
    });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 2 }), (answers, where) => {
      const alone = answers.flatMap((each) => toldOf([each], where));
      assert.deepEqual(toldOf(answers, where), alone);
    }),
    { numRuns: 1_000 },
  );
});
