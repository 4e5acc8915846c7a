import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, test } from "node:test";
import * as fc from "fast-check";
import { failure } from "../base/failure.ts";
import { OPAQUE_FORM, type BodyAsk, type BodyForm } from "./body-ask.ts";
import type { RequestBody } from "./body.ts";
import { JSON_FORM } from "./json-ask.ts";
import { multipartForm } from "./multipart-ask.ts";
import { renamedBody } from "./renamed-body.ts";
import { SpooledBody, SpoolWriter } from "./spool-file.ts";

const folder = mkdtempSync(join(tmpdir(), "llmux-renamed-"));
after(() => rmSync(folder, { recursive: true }));

const names = fc.string({ minLength: 1, unit: "grapheme" });

async function askOf(form: BodyForm, body: Buffer, pieceBytes: number | null): Promise<BodyAsk> {
  const ask = await new Promise<BodyAsk | object>((resolve) => {
    const scan = form.scan();
    const step = pieceBytes ?? body.length;
    for (let at = 0; at < body.length; at += step) scan.push(body.subarray(at, at + step));
    scan.end(resolve);
  });
  assert.ok("wantsStream" in ask, JSON.stringify(ask));
  return ask;
}

function spooled(bytes: Buffer): Promise<SpooledBody> {
  return new Promise((resolve, reject) => {
    const owner = { onFull() {}, onRoom() {}, onSpooled: resolve, onSpoolFailed: reject };
    const writer = new SpoolWriter(folder, owner);
    writer.write(bytes);
    writer.end();
  });
}

/** The body with another name, from memory and from disk, where the two are the same. */
async function renamed(form: BodyForm, bytes: Buffer, name: string, pieceBytes: number): Promise<Buffer> {
  const inMemory = renamedBody(bytes, form, await askOf(form, bytes, null), name);
  assert.ok(inMemory instanceof Buffer, JSON.stringify(inMemory));
  const onDisk = await spooled(bytes);
  try {
    const other = renamedBody(onDisk, form, await askOf(form, bytes, pieceBytes), name);
    assert.ok(other instanceof SpooledBody, JSON.stringify(other));
    const read = await buffer(other.read());
    assert.equal(other.length, read.length);
    assert.ok(read.equals(inMemory));
    assert.ok((await buffer(onDisk.read())).equals(bytes), "the body itself is another one");
  } finally {
    onDisk.dispose();
  }
  return inMemory;
}

/** A letter, or one of its escapes. */
function letter(character: string): fc.Arbitrary<string> {
  return fc.constantFrom(character, `\\u00${character.charCodeAt(0).toString(16)}`);
}

test("In JSON nothing but the name of the model becomes another, however it is written", async () => {
  const key = fc.tuple(...Array.from("model", letter)).map((letters) => `"${letters.join("")}"`);
  const old = names.map((name) => JSON.stringify(name).replaceAll("o", "\\u006f"));
  const space = fc.constantFrom("", " ", "\n\t", " ".repeat(70));
  // A value that looks like what is looked for.
  const values = fc.oneof(fc.jsonValue(), fc.constant({ model: "a" }), fc.constant('"model": "a"'));
  const others = fc.dictionary(fc.string(), values).map((all) => {
    delete all["model"];
    return JSON.stringify(all).slice(1, -1);
  });
  await fc.assert(
    fc.asyncProperty(key, old, space, others, others, names, fc.integer({ min: 1, max: 99 }), async (...drawn) => {
      const [model, was, blank, first, last, name, pieceBytes] = drawn;
      const head = `${blank}{${first}${first === "" ? "" : ","}${blank}${model}${blank}:${blank}`;
      const tail = `${blank}${last === "" ? "" : ","}${last}}${blank}`;
      const answer = await renamed(JSON_FORM, Buffer.from(head + was + tail), name, pieceBytes);
      const expected = JSON.parse(was) === name ? was : JSON.stringify(name);
      assert.equal(answer.toString(), head + expected + tail);
    }),
    { numRuns: 300 },
  );
});

test("In a form nothing but the value of its field becomes another, whatever its files contain", async () => {
  const boundaries = fc.stringMatching(/^[\w'+.-]{1,60}$/);
  const line = "\r\n";
  const contents = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((all) => Buffer.from(all).toString("latin1")),
    fc.constantFrom("\r\n--", "\r\n", "--", '\r\nContent-Disposition: form-data; name="model"\r\n\r\nx'),
  );
  const part = (disposition: string, value: string): string =>
    `Content-Disposition: form-data; ${disposition}${line}${line}${value}`;
  const files = fc.array(contents.map((text) => part('name="file"; filename="a"', text)));
  const sizes = fc.integer({ min: 1, max: 99 });
  await fc.assert(
    fc.asyncProperty(boundaries, files, files, names, names, sizes, fc.boolean(), async (...drawn) => {
      const [boundary, before, behind, was, name, pieceBytes, isQuoted] = drawn;
      const delimiter = `${line}--${boundary}`;
      fc.pre([...before, ...behind, was].every((text) => !text.includes(`--${boundary}`)));
      fc.pre(!/^[\r\n]|[\r\n]$/.test(was));
      const form = (model: string): Buffer =>
        Buffer.concat(
          [...before.map(latin), Buffer.from(part('name="model"', model)), ...behind.map(latin)]
            .flatMap((each) => [Buffer.from(delimiter + line), each])
            .concat(Buffer.from(`${delimiter}--${line}`)),
        ).subarray(line.length);
      const contentType = `multipart/form-data; boundary=${isQuoted ? `"${boundary}"` : boundary}`;
      const answer = await renamed(multipartForm(contentType), form(was), name, pieceBytes);
      assert.ok(answer.equals(form(name)), answer.toString());
    }),
    { numRuns: 300 },
  );
});

function latin(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

test("What FormData writes can be renamed", async () => {
  const form = new FormData();
  form.append("file", new Blob([new Uint8Array(70_000)]), 'a "file"\r\n.wav');
  form.append("model", "whisper");
  form.append("language", "de");
  const encoded = new Response(form);
  const contentType = encoded.headers.get("content-type") ?? "";
  const bytes = Buffer.from(await encoded.arrayBuffer());
  const answer = await renamed(multipartForm(contentType), bytes, "whisper-large-v3", 1_000);
  const read = await new Response(new Uint8Array(answer), { headers: { "content-type": contentType } }).formData();
  assert.deepEqual([read.get("model"), read.get("language")], ["whisper-large-v3", "de"]);
  assert.equal((read.get("file") as File).size, 70_000);
});

test("A body that names no model, that nobody has read, or whose engine knows the name, is passed on as it is", () => {
  const body: RequestBody = Buffer.from('{"model":"a"}');
  const asked = { model: "a", wantsStream: false };
  for (const [form, ask, name] of [
    [JSON_FORM, asked, null],
    [JSON_FORM, asked, "a"],
    [JSON_FORM, { model: null, wantsStream: true }, "b"],
    [JSON_FORM, failure("invalid_request", "This is no JSON."), "b"],
    [OPAQUE_FORM, { model: null, wantsStream: false }, "b"],
  ] as const) {
    assert.equal(renamedBody(body, form, ask, name), body);
  }
});

for (const disposition of ["name*=utf-8''model", ' x="; name=\\"y\\""; name=model', '\r\n name="model"']) {
  test(`A form that names its field by ${JSON.stringify(disposition)} is refused, and not sent under a wrong name`, async () => {
    const line = "\r\n";
    const odd = Buffer.from(
      `--x${line}Content-Disposition: form-data;${disposition}${line}${line}a${line}--x--${line}`,
    );
    const form = multipartForm("multipart/form-data; boundary=x");
    const ask = await askOf(form, odd, null);
    assert.equal(ask.model, "a");
    const answer = renamedBody(odd, form, ask, "b");
    assert.ok("code" in answer && answer.code === "invalid_request");
  });
}
