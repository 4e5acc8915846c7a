import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { SpoolWriter, type SpooledBody, type SpoolOwner } from "./spool-file.ts";

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "llmux-spool-"));
  context.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** Records what the writer says. */
class Recorder implements SpoolOwner {
  readonly said: string[] = [];
  readonly done = Promise.withResolvers<SpooledBody>();
  onFull(): void {
    this.said.push("full");
  }
  onRoom(): void {
    this.said.push("room");
  }
  onSpooled(body: SpooledBody): void {
    this.done.resolve(body);
  }
  onSpoolFailed(error: unknown): void {
    this.done.reject(error);
  }
}

test("What was written is read again as often as wanted, and no file is to be seen meanwhile", async (context) => {
  const path = folder(context);
  const owner = new Recorder();
  const writer = new SpoolWriter(path, owner);
  const bytes = randomBytes(3_000_001);
  for (let at = 0; at < bytes.length; at += 65_536) writer.write(bytes.subarray(at, at + 65_536));
  assert.deepEqual(owner.said, ["full"]);
  writer.end();
  const body = await owner.done.promise;
  assert.deepEqual(owner.said, ["full", "room"]);
  assert.equal(body.length, bytes.length);
  assert.deepEqual(readdirSync(path), []);
  const [first, second] = await Promise.all([buffer(body.read()), buffer(body.read())]);
  assert.ok(bytes.equals(first) && bytes.equals(second));
  body.dispose();
  body.dispose();
});

test("A stream that is broken off does not keep the next one from being whole", async (context) => {
  const owner = new Recorder();
  const writer = new SpoolWriter(folder(context), owner);
  const bytes = randomBytes(2_000_000);
  writer.write(bytes);
  writer.end();
  const body = await owner.done.promise;
  const broken = body.read();
  broken.once("data", () => broken.destroy());
  assert.ok(bytes.equals(await buffer(body.read())));
  body.dispose();
});

test("A folder that is not there is told as an error", async () => {
  const owner = new Recorder();
  const writer = new SpoolWriter("/there/is/no/such/folder", owner);
  writer.write(Buffer.from("x"));
  await assert.rejects(owner.done.promise, /ENOENT/);
});

test("Nothing is said after a cancellation, and no file is left", async (context) => {
  const path = folder(context);
  const owner = new Recorder();
  const writer = new SpoolWriter(path, owner);
  writer.write(Buffer.from("x"));
  writer.cancel();
  writer.end();
  const said = await Promise.race([
    owner.done.promise,
    new Promise((resolve) => void setTimeout(resolve, 50, "nothing")),
  ]);
  assert.equal(said, "nothing");
  assert.deepEqual(readdirSync(path), []);
});
