import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Failure } from "../base/failure.ts";
import type { BodyAsk } from "./body-ask.ts";
import { isMultipart, multipartForm } from "./multipart-ask.ts";

const CONTENT_TYPE = "multipart/form-data; boundary=xYz";

/** Reads the form in pieces of this size. Where the name stands is checked here. */
async function read(form: Buffer, contentType = CONTENT_TYPE, pieceBytes = form.length): Promise<BodyAsk | Failure> {
  const answer = await readWithPlace(form, contentType, pieceBytes);
  if (!("modelAt" in answer)) return answer;
  const { modelAt, ...ask } = answer;
  assert.equal(form.subarray(modelAt?.from, modelAt?.to).toString(), ask.model);
  return ask;
}

async function readWithPlace(form: Buffer, contentType: string, pieceBytes: number): Promise<BodyAsk | Failure> {
  const scan = multipartForm(contentType).scan();
  for (let at = 0; at < form.length; at += pieceBytes) scan.push(form.subarray(at, at + pieceBytes));
  return new Promise((resolve) => {
    scan.end(resolve);
  });
}

function part(disposition: string, value: string | Buffer = "", more = ""): Buffer {
  const head = `--xYz\r\nContent-Disposition: ${disposition}\r\n${more}\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(value), Buffer.from("\r\n")]);
}

const MODEL = part('form-data; name="model"', "whisper");
const FILE = part(
  'form-data; name="file"; filename="a.wav"',
  Buffer.alloc(300_000, "RIFF"),
  "Content-Type: audio/wav\r\n",
);
const END = Buffer.from("--xYz--\r\n");

test("The model of a form is found before and behind a file, wherever the pieces are cut", async () => {
  for (const form of [Buffer.concat([MODEL, FILE, END]), Buffer.concat([FILE, MODEL, END])]) {
    for (const pieceBytes of [form.length, 65_536, 1_000, 7]) {
      assert.deepEqual(await read(form, CONTENT_TYPE, pieceBytes), { model: "whisper", wantsStream: false });
    }
  }
});

test("What FormData writes is read, whatever the fields are called and contain", async () => {
  const text = fc.string({ unit: "grapheme" });
  const field = fc.tuple(text, fc.oneof(text, fc.uint8Array({ maxLength: 200 })));
  await fc.assert(
    fc.asyncProperty(
      fc.array(field),
      text.filter(Boolean),
      fc.nat(),
      fc.integer({ min: 1 }),
      async (rest, model, at, size) => {
        const fields: [string, string | Uint8Array][] = rest.filter(([name]) => name !== "model");
        fields.splice(at % (fields.length + 1), 0, ["model", model]);
        const form = new FormData();
        for (const [name, value] of fields) {
          if (typeof value === "string") form.append(name, value);
          else form.append(name, new Blob([new Uint8Array(value)]), "name");
        }
        const encoded = new Response(form);
        const contentType = encoded.headers.get("content-type");
        assert.ok(isMultipart(contentType));
        // Line ends are written as CR LF.
        const expected = model.replaceAll(/\r\n|\r|\n/g, "\r\n");
        const answer = await read(Buffer.from(await encoded.arrayBuffer()), contentType, 1 + (size % 300));
        assert.deepEqual(answer, { model: expected, wantsStream: false });
      },
    ),
    { numRuns: 300 },
  );
});

const BAD_FORMS: readonly (readonly [string, Buffer, RegExp])[] = [
  ["two models", Buffer.concat([MODEL, FILE, MODEL, END]), /more than once/],
  ["an empty model", Buffer.concat([part('form-data; name="model"'), END]), /`model` is empty/],
  ["a model that is a file", Buffer.concat([part('form-data; name="model"; filename="m"', "x"), END]), /it is a file/],
  ["an endless model", Buffer.concat([part('form-data; name="model"', "m".repeat(10_000)), END]), /too long/],
  ["no end", Buffer.concat([MODEL, FILE]), /broken, or ends too early/],
  ["an end in the middle of its file", Buffer.concat([MODEL, FILE]).subarray(0, 1_000), /broken, or ends too early/],
  ["no form at all", Buffer.from("hello"), /broken, or ends too early/],
  ["nothing in it", Buffer.alloc(0), /broken, or ends too early/],
  [
    "more fields than any",
    Buffer.concat([...Array.from({ length: 10_001 }, () => part('form-data; name="x"')), END]),
    /fields/,
  ],
];

for (const [what, form, message] of BAD_FORMS) {
  test(`A form with ${what} is refused with the reason`, async () => {
    for (const pieceBytes of [form.length + 1, 10]) {
      const answer = await read(form, CONTENT_TYPE, pieceBytes);
      assert.ok("code" in answer, JSON.stringify(answer));
      assert.equal(answer.code, "invalid_request");
      assert.match(answer.message, message);
    }
  });
}

test("A form without a boundary is refused", async () => {
  for (const contentType of [
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; charset=x",
  ]) {
    const answer = await read(Buffer.concat([MODEL, END]), contentType);
    assert.ok("code" in answer, contentType);
    assert.match(answer.message, /boundary|broken/);
  }
});

test("A form without a model names none", async () => {
  assert.deepEqual(await read(Buffer.concat([FILE, END])), { model: null, wantsStream: false });
});

test("Any bytes at all behind any content type give a model or a failure, and never an exception", async () => {
  const pieces = fc.constantFrom(
    "--xYz",
    "\r\n",
    "--",
    "Content-Disposition: form-data; name=",
    '"model"',
    "\n",
    "\0",
    ":",
    "a",
  );
  const bytes = fc.array(pieces, { maxLength: 30 }).map((all) => Buffer.from(all.join("")));
  const odd = fc.uint8Array().map((all) => Buffer.from(all));
  const types = fc.oneof(
    fc.constant(CONTENT_TYPE),
    fc.string().map((text) => `multipart/form-data; boundary=${text}`),
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(bytes, odd), types, fc.integer({ min: 1, max: 50 }), async (form, contentType, size) => {
      const answer = await read(form, contentType, size);
      assert.ok(!("code" in answer) || answer.code === "invalid_request");
    }),
    { numRuns: 1_000 },
  );
});
