/** Requests from a grammar, and what becomes of them when somebody means no good: the same for the same seed. */

/** A stream of numbers from a seed. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
}

const METHODS = [
  "GET",
  "POST",
  "POST",
  "POST",
  "HEAD",
  "DELETE",
  "OPTIONS",
  "M-SEARCH",
  "PUT",
  "QUERY",
  "PRI",
  "SMUGGLE",
];
const TARGETS = [
  "/",
  "/v1/chat/completions",
  "/v1/models?a=b&c",
  "/a%20b",
  "*",
  "http://x/y",
  "HTTPS://[::1]:8/a?b",
  "http://x_y:?z",
  "/é",
  "/a#b",
  "x:1",
  "//x",
  "/[]{}|\\^",
];
const VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0"];
const NAMES = [
  "accept",
  "x-a",
  "Cookie",
  "connection",
  "expect",
  "upgrade",
  "host",
  "x_b",
  "te",
  "trailer",
  "!#$%&'*+-.^_`|~",
];
const VALUES = [
  "",
  "a",
  "b, c",
  "close",
  "keep-alive",
  "100-continue",
  "websocket",
  "upgrade",
  "chunked",
  "0",
  "\xe9\xff",
  '"x; y"',
];
const EXTENSIONS = [
  ";a",
  ";a=b",
  ';a="b c"',
  ";a=b;c",
  "; a",
  ";",
  ";a =b",
  ";a=",
  ';a="\\""',
  ";\xe9",
  ";a=b ",
  ";a\t",
];
const TRAILERS = [
  "x: y",
  "x:",
  "x : y",
  "content-length: 5",
  "transfer-encoding: chunked",
  "host: z",
  "nonsense",
  " folded: x",
  "X-\xe9: a",
  ": a",
];
const BLANKS = ["", " ", " ", " ", "  ", "\t", " \t "];

/** Some requests, one after the other; most of them are right. */
export function randomRequests(chance: Chance): string {
  let text = "";
  let last = "";
  for (let left = 1 + chance.below(3); left > 0; left -= 1) {
    last = last !== "" && chance.oneIn(2) ? withAnotherBody(last, chance) : randomRequest(chance);
    text += last;
  }
  return text;
}

/** The same head again; where it tells a length, perhaps another one, perhaps written at greater length. */
function withAnotherBody(request: string, chance: Chance): string {
  const told = /\r\nContent-Length:[\t ]*(?=\d)/.exec(request);
  if (told === null) return request;
  const digitsAt = told.index + told[0].length;
  const rest = request.slice(digitsAt).replace(/^\d+/, "");
  const body = randomText(chance);
  const zeros = chance.oneIn(6) ? "0".repeat(chance.below(16)) : "";
  return `${request.slice(0, digitsAt)}${zeros}${body.length}${rest.slice(0, rest.indexOf("\r\n\r\n") + 4)}${body}`;
}

function randomRequest(chance: Chance): string {
  const version = chance.pick(VERSIONS);
  const headers = chance.oneIn(8) ? [] : ["host: x"];
  for (let left = chance.below(4); left > 0; left -= 1) headers.push(randomHeader(chance));
  let body = "";
  const kind = chance.below(4);
  if (kind === 1) {
    body = randomText(chance);
    headers.push(`Content-Length:${chance.pick(BLANKS)}${body.length}${chance.pick(BLANKS)}`);
  } else if (kind === 2) {
    body = randomChunks(chance);
    headers.push(`Transfer-Encoding:${chance.pick(BLANKS)}chunked${chance.pick(BLANKS)}`);
  }
  const blankLines = chance.oneIn(10) ? "\r\n".repeat(chance.below(3)) : "";
  return `${blankLines}${chance.pick(METHODS)} ${chance.pick(TARGETS)} ${version}\r\n${headers.join("\r\n")}${headers.length > 0 ? "\r\n" : ""}\r\n${body}`;
}

function randomHeader(chance: Chance): string {
  const name = chance.pick(NAMES);
  const value = chance.pick(VALUES);
  return `${chance.oneIn(3) ? name.toUpperCase() : name}:${chance.pick(BLANKS)}${value}${chance.pick(BLANKS)}`;
}

function randomText(chance: Chance): string {
  return chance.pick(["", "a", "hello", "\r\n", "GET / HTTP/1.1\r\n\r\n", "0\r\n\r\n", "x".repeat(chance.below(300))]);
}

function randomChunks(chance: Chance): string {
  let text = "";
  for (let left = chance.below(4); left > 0; left -= 1) {
    const data = randomText(chance) || "x";
    const size = data.length.toString(16);
    const zeros = chance.oneIn(6) ? "0".repeat(chance.below(4)) : "";
    text += `${zeros}${chance.oneIn(3) ? size.toUpperCase() : size}${randomExtension(chance)}\r\n${data}\r\n`;
  }
  text += `0${randomExtension(chance)}\r\n`;
  for (let left = chance.oneIn(3) ? chance.below(3) : 0; left > 0; left -= 1) text += `${chance.pick(TRAILERS)}\r\n`;
  return `${text}\r\n`;
}

function randomExtension(chance: Chance): string {
  return chance.oneIn(4) ? chance.pick(EXTENSIONS) : "";
}

const INSERTED = [
  "\r\n",
  "\n",
  "\r",
  " ",
  "\t",
  "\0",
  ":",
  ";",
  ",",
  "0",
  "\r\n\r\n",
  "\x7f",
  "\x80",
  "chunked",
  "content-length: 1\r\n",
  "transfer-encoding: chunked\r\n",
  "\r\n x",
  "\v",
  "\f",
];

/** The same with up to four things wrong. */
export function mutated(text: string, chance: Chance): string {
  let result = text;
  for (let left = chance.below(5); left > 0; left -= 1) result = mutatedOnce(result, chance);
  return result;
}

function mutatedOnce(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1);
  const before = text.slice(0, at);
  const after = text.slice(at);
  switch (chance.below(8)) {
    case 0:
      return `${before}${String.fromCodePoint(chance.below(256))}${after.slice(1)}`;
    case 1:
      return before + after.slice(1 + chance.below(3));
    case 2:
      return before + after.slice(0, 1 + chance.below(4)) + after;
    case 3:
      return before + chance.pick(INSERTED) + after;
    case 4:
      return before + after.replace("\r\n", chance.pick(["\n", "\r", "\r\r\n", "\n\r"]));
    case 5:
      return withLineAgain(text, chance);
    case 6:
      return before + after.replace(/\d/, String(chance.below(10)));
    default:
      return before + after.replace(/\r\n/, `${chance.pick(BLANKS)}\r\n`);
  }
}

function withLineAgain(text: string, chance: Chance): string {
  const lines = text.split("\r\n");
  const index = chance.below(lines.length);
  lines.splice(chance.below(lines.length), 0, lines[index] ?? "");
  return lines.join("\r\n");
}

/** In pieces, cut anywhere. */
export function inPieces(bytes: Buffer, chance: Chance): Buffer[] {
  const most = chance.pick([1, 3, 20, 10_000]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + chance.below(most);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}
