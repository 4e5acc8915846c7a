import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Failure } from "../base/failure.ts";
import type { BodyAsk, BodyScan } from "./body-ask.ts";
import { JSON_FORM } from "./json-ask.ts";

/** Reads the body in pieces that are cut at these places. */
function read(body: Buffer, cuts: readonly number[] = []): BodyAsk | Failure {
  const scan = JSON_FORM.scan();
  const places = [0, ...cuts.map((cut) => cut % (body.length + 1)).toSorted((a, b) => a - b), body.length];
  for (let index = 0; index + 1 < places.length; index += 1) scan.push(body.subarray(places[index], places[index + 1]));
  return answerOf(scan);
}

function answerOf(scan: BodyScan): BodyAsk | Failure {
  const answers: (BodyAsk | Failure)[] = [];
  scan.end((ask) => answers.push(ask));
  const [answer] = answers;
  assert.ok(answer !== undefined && answers.length === 1);
  return answer;
}

function refusalOf(text: string, cuts: readonly number[] = []): string {
  const answer = read(Buffer.from(text), cuts);
  assert.ok("code" in answer && answer.code === "invalid_request", text);
  return answer.message;
}

function modelOf(text: string): string | null {
  const answer = read(Buffer.from(text));
  assert.ok("model" in answer, text);
  return answer.model;
}

/** What JSON.parse makes of the body: what it asks for, or what is to be said of it. */
function expected(body: Buffer): { readonly model: string | null; readonly wantsStream: boolean } | RegExp {
  if (body.length === 0) return /^The body is empty;/;
  if (!isUtf8(body)) return /^The body is not valid UTF-8\.$/;
  const text = body.toString();
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return /^The body is not valid JSON: it (breaks at position \d+|ends too early)\.$/;
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) return /^The body must be a JSON/;
  const asked = new Map(Object.entries(document));
  const model: unknown = asked.get("model") ?? null;
  const wantsStream = asked.get("stream") === true;
  const count = keysAtTop(text).filter((key) => key === "model").length;
  if (count > 1) return /^`model` (is given more than once|must be a string|is empty)/;
  if (count === 1 && typeof model !== "string") return /^`model` must be a string/;
  return model === "" ? /^`model` is empty\.$/ : { model: typeof model === "string" ? model : null, wantsStream };
}

/** Of the text of an object. */
function keysAtTop(text: string): readonly unknown[] {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g) ?? [];
  let depth = 0;
  return tokens.flatMap((token, at) => {
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    return depth === 1 && token.startsWith('"') && tokens[at + 1] === ":" ? [JSON.parse(token)] : [];
  });
}

/** Whole, and in pieces, it is what JSON.parse takes it for; and the two have the same words for what is wrong with it. */
function assertRead(body: Buffer, cuts: readonly number[]): void {
  const answer = read(body);
  const right = expected(body);
  if (right instanceof RegExp) assert.match("message" in answer ? answer.message : "", right, body.toString());
  else {
    assert.ok("model" in answer, body.toString());
    const { modelAt, ...ask } = answer;
    assert.deepEqual(ask, right, body.toString());
    const written = body.subarray(modelAt?.from, modelAt?.to).toString();
    assert.equal(modelAt === undefined ? null : JSON.parse(written), ask.model);
  }
  assert.deepEqual(read(body, cuts), answer, body.toString());
  const everywhere = Array.from(body.keys());
  assert.deepEqual(read(body, everywhere), answer, body.toString());
}

/** A letter, or one of its escapes. */
function letter(character: string): fc.Arbitrary<string> {
  const hex = character.charCodeAt(0).toString(16);
  return fc.constantFrom(character, `\\u00${hex}`, `\\u00${hex.toUpperCase()}`);
}

function spelled(key: string): fc.Arbitrary<string> {
  return fc.tuple(...Array.from(key, letter)).map((letters) => `"${letters.join("")}"`);
}

const cuts = fc.array(fc.nat(), { maxLength: 5 });
const space = fc.constantFrom("", "", "", " ", "\n\t", "\r\n  ", " ".repeat(100));
const json = fc.tuple(fc.jsonValue(), fc.nat({ max: 2 })).map(([value, indent]) => JSON.stringify(value, null, indent));
const literals = fc.string({ unit: "grapheme", maxLength: 300, size: "max" }).map((text) => JSON.stringify(text));
const escaped = fc
  .string()
  .map((text) => `"${Array.from({ length: text.length }, (_, at) => hexOf(text, at)).join("")}"`);
const keys = fc.oneof(
  spelled("model"),
  spelled("stream"),
  fc.constantFrom('"models"', '"Model"', '"mode\\""', '""'),
  json.map((text) => JSON.stringify(text)),
);
const values = fc.oneof(literals, escaped, fc.constantFrom("true", "false", "null", "[]", "-1.5e+3"), json);

function hexOf(text: string, at: number): string {
  return `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`;
}

const documents = fc.tuple(fc.array(fc.tuple(keys, space, values), { maxLength: 5 }), space).map(([members, blank]) => {
  const texts = members.map(([key, around, value]) => `${around}${key}${around}:${around}${value}${around}`);
  return `${blank}{${texts.join(",")}}${blank}`;
});

test("A document asks for what JSON.parse reads in it, whole and in any pieces", () => {
  fc.assert(
    fc.property(documents, cuts, (text, places) => assertRead(Buffer.from(text), places)),
    { numRuns: 2_000 },
  );
});

test("A document with bytes changed, left out or added is JSON when JSON.parse takes it for it", () => {
  const byte = fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(...Buffer.from('{}[],:"\\ \n0-.eEutfn')));
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 3 }), byte), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(documents, changes, cuts, (text, list, places) => {
      const bytes = [...Buffer.from(text)];
      for (const [place, how, value] of list) {
        const at = place % (bytes.length + 1);
        if (how === 0) bytes.splice(at, 1, value);
        else if (how === 1) bytes.splice(at, 1);
        else if (how === 2) bytes.splice(at, 0, value);
        else bytes.splice(at, bytes.length);
      }
      assertRead(Buffer.from(bytes), places);
    }),
    { numRuns: 5_000 },
  );
});

test("What looks like JSON, and is or is not, is told apart as JSON.parse does", () => {
  const bytes = '{}[],: \n"\\/u019abcdeEflnrst+-.'.split("");
  const words = [
    '"model"',
    '"m":',
    "true",
    "false",
    "null",
    "-0",
    "1e5",
    "0.1",
    "\\u0041",
    "\\n",
    "é",
    "🙂",
    "\u{feff}",
  ];
  const tokens = fc.constantFrom(...bytes, ...words);
  fc.assert(
    fc.property(fc.array(tokens, { maxLength: 12 }), cuts, fc.boolean(), (parts, places, wraps) => {
      const text = parts.join("");
      assertRead(Buffer.from(wraps ? `{"model":"a","x":${text}}` : text), places);
    }),
    { numRuns: 10_000 },
  );
});

test("Each byte in each place of a document is judged as JSON.parse does", () => {
  const text =
    '{"model":"a\\n\\u00e9","x":[1,-0.5e+1,{"stream":true}],"stream":true,"y":{"a":null,"b":false},"z":[ ]} ';
  for (let at = 0; at < text.length; at += 1) {
    for (let byte = 0; byte < 256; byte += 1) {
      const body = Buffer.from(text);
      body[at] = byte;
      assertRead(body, [at, at + 1]);
    }
  }
});

test("Commas and colons stand where JSON has them", () => {
  const good = ["[]", "{}", "[ ]", "[1,2]", '{"a":1,"b":2}', '[{},{"a":[]}]'];
  const bad = [
    "[1,]",
    "[1, ]",
    "[,1]",
    "[,]",
    "[1 2]",
    "[1,,2]",
    '{"a":1,}',
    '{"a":1, }',
    '{,"a":1}',
    '{"a":1,,"b":2}',
  ];
  const worse = [
    '{"a"}',
    '{"a" 1}',
    '{"a"::1}',
    '{"a":}',
    '{"a","b"}',
    "{1:1}",
    "{a:1}",
    '["a":1]',
    "[1}",
    '{"a":1]',
    "1,2",
  ];
  for (const text of [...good, ...bad, ...worse]) {
    assertRead(Buffer.from(text), [1]);
    assertRead(Buffer.from(`{"model":"a","x":[${text}]}`), [7]);
  }
});

test("Numbers are those that JSON has", () => {
  const good = ["0", "-0", "10", "1.5", "1e5", "1E+05", "-1.5e-3"];
  for (const text of [...good, "01", "-", "1.", ".5", "1e", "1e+", "+1", "0x1", "1.e1", "1e1.5", "--1", "-a"]) {
    assertRead(Buffer.from(text), [1]);
    assertRead(Buffer.from(`{"x":${text}}`), [6]);
    assertRead(Buffer.from(`{"x":[${text}],"model":"a"}`), [7]);
  }
});

test("Invalid UTF-8 is found wherever it is cut, and valid characters may be cut anywhere", () => {
  const bytes = fc.uint8Array({ maxLength: 8 });
  fc.assert(
    fc.property(bytes, literals, cuts, (odd, text, places) => {
      const body = [Buffer.from('{"model":"a","x":"'), Buffer.from(text.slice(1, -1)), Buffer.from(odd)];
      assertRead(Buffer.concat([...body, Buffer.from('"}')]), places);
    }),
    { numRuns: 2_000 },
  );
});

test("A second `model` at the top is refused in every spelling, and whatever stands between the two", () => {
  const key = fc.oneof(fc.constant('"model"'), spelled("model"));
  fc.assert(
    fc.property(key, key, space, json, cuts, (first, second, blank, between, places) => {
      const text = `{${first}${blank}:"a",${blank}"x":${between},${second}${blank}:"b"}`;
      assert.match(refusalOf(text, places), /more than once/);
    }),
  );
});

test("A `model` inside of something else is not a second one", () => {
  for (const text of [
    '{"model": "a", "x": {"model": "b", "y": [{"model": "c"}]}}',
    '{"x": {"model": "b"}, "model": "a"}',
    '{"model": "a", "x": "\\"model\\": 1, \\"model\\""}',
    '{"model": "a", "x": ["model", "model"]}',
    '{"x": "model", "model": "a", "y\\\\": "\\u006dodel"}',
    '{"x": "}", "model": "a", "model ": "b", "Model": "c"}',
    '{"\\\\\\"": "\\\\", "model": "a", "z": "\\u006d{[\\""}',
  ]) {
    assert.equal(modelOf(text), "a", text);
  }
});

test("Models that are named in turns are not taken for each other", () => {
  for (const name of ["a", "b", "ab", "a", "é", "\\u00e9", "Ã©", "b"]) {
    assert.equal(modelOf(`{"model":"${name}"}`), JSON.parse(`"${name}"`));
  }
});

test("Of several `stream` at the top the last counts, and only true asks for a stream", () => {
  for (const [text, wantsStream] of [
    ['{"stream":true}', true],
    ['{"stream":false,"x":{"stream":true}}', false],
    ['{"stream":false,"\\u0073tream":true}', true],
    ['{"stream":true,"stre\\u0061m":{"stream":true}}', false],
    ['{"stream":true,"stream":"true"}', false],
    ['{"stream":1}', false],
    ["{}", false],
  ] as const) {
    assert.deepEqual(read(Buffer.from(text)), { model: null, wantsStream });
  }
});

test("Of what is no JSON it is told at which byte it breaks, and never what stands there", () => {
  for (const [text, where] of [
    ["{secret", "breaks at position 1"],
    ['{"é": secret}', "breaks at position 7"],
    ['{"model": "a" secret}', "breaks at position 14"],
    ["secret", "breaks at position 0"],
    ['{"model": tsecret', "breaks at position 11"],
    ['{"x": "secret\n"}', "breaks at position 13"],
    ['{"secret": "', "ends too early"],
    ['{"model": "secret', "ends too early"],
    [" ", "ends too early"],
  ] as const) {
    for (const at of [0, 1, 8, 12]) assert.equal(refusalOf(text, [at]), `The body is not valid JSON: it ${where}.`);
  }
});

function nested(levels: number): string {
  return `{"model":"a","x":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;
}

test("Ten thousand levels are read, and one more is refused", () => {
  assert.equal(modelOf(nested(10_000)), "a");
  assert.equal(refusalOf(nested(10_001), [5_000]), "The body is nested deeper than 10000 levels.");
  assert.match(refusalOf("[".repeat(100_000)), /nested deeper/);
});

/** With a name that is written in so many bytes. */
function named(bytes: number): Buffer {
  return Buffer.from(`{"model":"${"a".repeat(bytes - 2)}"}`);
}

test("A name of four kilobytes is read, and a longer one is refused, however it comes", () => {
  for (const places of [[], [8], [2_000], [10, 4_100], Array.from({ length: 5_000 }, (_, at) => at)]) {
    assert.deepEqual(read(named(4_096), places), {
      model: "a".repeat(4_094),
      wantsStream: false,
      modelAt: { from: 9, to: 4_105 },
    });
    const answer = read(named(4_097), places);
    assert.equal("message" in answer && answer.message, "`model` is too long to be the name of a model.");
  }
});

test("A body of a megabyte of quotes and backslashes is read in no time worth noting", () => {
  const nasty = JSON.stringify({ a: '\\"'.repeat(250_000), "b\\u006d": "\\".repeat(500_000), model: "a" });
  assert.equal(modelOf(nasty), "a");
});

test("Twenty megabytes in pieces take less than a second or two", () => {
  const scan = JSON_FORM.scan();
  const piece = Buffer.from(JSON.stringify("data:image/png;base64,".repeat(2_900)).slice(1, -1));
  const beganAtMs = performance.now();
  scan.push(Buffer.from('{"model":"a","x":"'));
  for (let bytes = 0; bytes < 20_000_000; bytes += piece.length) scan.push(piece);
  scan.push(Buffer.from('"}'));
  assert.deepEqual(answerOf(scan), { model: "a", wantsStream: false, modelAt: { from: 9, to: 12 } });
  assert.ok(performance.now() - beganAtMs < 2_000);
});
