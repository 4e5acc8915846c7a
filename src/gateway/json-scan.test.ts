import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Failure } from "../base/failure.ts";
import type { BodyAsk } from "./body-ask.ts";
import { readJsonAsk } from "./json-ask.ts";
import { JsonScan } from "./json-scan.ts";

/** Reads the body in pieces that are cut at these places. */
function scan(body: Buffer, cuts: readonly number[]): BodyAsk | Failure {
  const json = new JsonScan();
  const places = [0, ...cuts.map((cut) => cut % (body.length + 1)).toSorted((a, b) => a - b), body.length];
  for (let index = 0; index + 1 < places.length; index += 1) json.push(body.subarray(places[index], places[index + 1]));
  const [answer] = [...answersOf(json)];
  assert.ok(answer !== undefined);
  if (!("modelAt" in answer)) return answer;
  const { modelAt, ...ask } = answer;
  assert.equal(JSON.parse(body.subarray(modelAt?.from, modelAt?.to).toString()), ask.model);
  return ask;
}

function answersOf(json: JsonScan): readonly (BodyAsk | Failure)[] {
  const answers: (BodyAsk | Failure)[] = [];
  json.end((ask) => answers.push(ask));
  return answers;
}

/** The two may break at different places of the same nonsense, but never disagree about what a body asks for. */
function assertAgree(body: Buffer, cuts: readonly number[]): void {
  const whole = readJsonAsk(body);
  const pieces = scan(body, cuts);
  if ("code" in whole) assert.ok("code" in pieces, `${body.toString()} is refused whole: ${whole.message}`);
  else assert.deepEqual(pieces, whole, body.toString());
}

const cuts = fc.array(fc.nat(), { maxLength: 5 });

test("A body that is read in pieces asks for what it asks for when it is read whole", () => {
  const keys = fc.oneof(fc.constantFrom("model", "stream", "mo\\u0064el", "x"), fc.string());
  const values = fc.oneof(fc.string(), fc.boolean(), fc.jsonValue());
  const entries = fc.array(fc.tuple(keys, values), { maxLength: 5 });
  fc.assert(
    fc.property(entries, cuts, fc.nat({ max: 3 }), (pairs, places, indent) => {
      const members = pairs.map(([key, value]) => `${JSON.stringify(key)} :${JSON.stringify(value, null, indent)}`);
      assertAgree(Buffer.from(`{${members.join(", ")}}`), places);
      assertAgree(Buffer.from(` {${members.join(", ").replaceAll("\\\\u", "\\u")}}\n`), places);
    }),
    { numRuns: 1_000 },
  );
});

test("A body with a byte changed, left out or added is refused in pieces when it is refused whole", () => {
  const body = fc.record({ model: fc.string(), n: fc.double(), more: fc.jsonValue({ maxDepth: 2 }) });
  fc.assert(
    fc.property(
      body,
      fc.nat(),
      fc.nat({ max: 255 }),
      fc.nat({ max: 2 }),
      cuts,
      (document, place, byte, how, places) => {
        const bytes = [...Buffer.from(JSON.stringify(document))];
        const at = place % bytes.length;
        if (how === 0) bytes[at] = byte;
        else if (how === 1) bytes.splice(at, 1);
        else bytes.splice(at, 0, byte);
        assertAgree(Buffer.from(bytes), places);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("What looks like JSON, and is or is not, is told apart as JSON.parse does", () => {
  const tokens = fc.constantFrom(
    ...'{}[],: \n"\\/u019abcdeEflnrst+-.'.split(""),
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
  );
  fc.assert(
    fc.property(fc.array(tokens, { maxLength: 12 }), cuts, fc.boolean(), (parts, places, wraps) => {
      const text = parts.join("");
      assertAgree(Buffer.from(wraps ? `{"model":"a","x":${text}}` : text), places);
    }),
    { numRuns: 10_000 },
  );
});

test("Numbers are those that JSON has", () => {
  for (const text of [
    "0",
    "-0",
    "10",
    "1.5",
    "1e5",
    "1E+05",
    "-1.5e-3",
    "01",
    "-",
    "1.",
    ".5",
    "1e",
    "1e+",
    "+1",
    "0x1",
  ]) {
    assertAgree(Buffer.from(`{"x":${text}}`), [6]);
    assertAgree(Buffer.from(`{"x":[${text}],"model":"a"}`), [7]);
  }
});

test("Invalid UTF-8 is found wherever it is cut, and valid characters may be cut anywhere", () => {
  const bytes = fc.uint8Array({ maxLength: 8 });
  fc.assert(
    fc.property(bytes, fc.string({ unit: "grapheme" }), cuts, (odd, text, places) => {
      const body = [
        Buffer.from('{"model":"a","x":"'),
        Buffer.from(JSON.stringify(text).slice(1, -1)),
        Buffer.from(odd),
      ];
      assertAgree(Buffer.concat([...body, Buffer.from('"}')]), places);
    }),
    { numRuns: 2_000 },
  );
});

test("Endless nesting and an endless name are refused, and not kept", () => {
  const deep = scan(Buffer.from(`{"model":"a","x":${"[".repeat(100_000)}`), [50_000]);
  assert.ok("code" in deep && /breaks at position/.test(deep.message));
  const long = scan(Buffer.from(`{"model":"${"a".repeat(100_000)}"}`), [50_000]);
  assert.ok("code" in long && /too long/.test(long.message));
});

test("Twenty megabytes in pieces take less than a second or two", () => {
  const json = new JsonScan();
  const piece = Buffer.from(JSON.stringify("data:image/png;base64,".repeat(2_900)).slice(1, -1));
  const beganAtMs = performance.now();
  json.push(Buffer.from('{"model":"a","x":"'));
  for (let bytes = 0; bytes < 20_000_000; bytes += piece.length) json.push(piece);
  json.push(Buffer.from('"}'));
  json.end((ask) => assert.deepEqual(ask, { model: "a", wantsStream: false, modelAt: { from: 9, to: 12 } }));
  assert.ok(performance.now() - beganAtMs < 2_000);
});
