import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { EngineOutput } from "./engine-output.ts";
import { FakeClock } from "./testing/fake-clock.ts";

const MIB = 1024 ** 2;

function stage(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "llmux-output-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "logs", "m.log");
  mkdirSync(join(folder, "logs"));
  const clock = new FakeClock();
  const heard: string[] = [];
  const output = new EngineOutput(path, clock, (line, whole) => heard.push(whole ? line : `${line} …`));
  const write = (text: string | Buffer): void => appendFileSync(path, text);
  return { path, clock, heard, output, write };
}

test("each line is told once, without colours, when it is whole; a progress bar also while it grows", async (t) => {
  const { clock, heard, output, write } = stage(t);
  output.begin();
  write("one\n\u001b[32mtw");
  await clock.pass(200);
  assert.deepEqual(heard, ["one"]);
  write("o\u001b[0m\nloading: 10%\rloading: 20%");
  await clock.pass(100);
  write("\rloading: 30%\n");
  await clock.pass(100);
  assert.deepEqual(heard, ["one", "two", "loading: 20% …", "loading: 30%"]);
  assert.deepEqual(output.lastLines(2), ["two", "loading: 30%"]);
});

test("a letter that is written in two pieces is one letter", (t) => {
  const { output, write } = stage(t);
  output.begin();
  const bytes = Buffer.from("größe\n");
  write(bytes.subarray(0, 3));
  assert.deepEqual(output.sync(), []);
  write(bytes.subarray(3));
  assert.deepEqual(output.sync(), ["größe"]);
});

test("a new start begins a new file, keeps the old one beside it, and forgets its lines", (t) => {
  const { path, output, write } = stage(t);
  output.begin();
  write("first life\n");
  output.end();
  assert.deepEqual(output.lastLines(5), ["first life"]);
  output.begin();
  assert.deepEqual(output.lastLines(5), []);
  assert.ok(!existsSync(path));
  assert.equal(readFileSync(`${path}.1`, "utf8"), "first life\n");
});

test("what was written before the end is read at the end, and nothing is looked at any more", async (t) => {
  const { clock, heard, output, write } = stage(t);
  output.begin();
  write("last words\n");
  output.end();
  assert.equal(clock.pending, 0);
  write("of somebody else\n");
  await clock.pass(5_000);
  assert.deepEqual(heard, ["last words"]);
});

test("of a flood the end is read, which says how much is passed over: no look takes long", (t) => {
  const { heard, output, write } = stage(t);
  output.begin();
  write(Buffer.alloc(20 * MIB, `${"x".repeat(99)}\n`));
  write("\nthe end\n");
  const fresh = output.sync();
  assert.equal(fresh.at(-1), "the end");
  assert.ok(fresh.length < 20_000, `${fresh.length} lines were read at once`);
  assert.match(fresh[0] ?? "", /\d+ bytes .*passed over/);
  assert.deepEqual(heard, fresh);
  assert.deepEqual(output.sync(), []);
});

test("a file that has grown too large is emptied, and what the engine writes next is read", (t) => {
  const { path, output, write } = stage(t);
  output.begin();
  write("");
  truncateSync(path, 65 * MIB);
  write("\nbefore\n");
  assert.equal(output.sync().at(-1), "before");
  assert.equal(statSync(path).size, 0);
  write("after\n");
  assert.deepEqual(output.sync(), ["after"]);
});

test("a line without an end takes no more memory than a long line may", (t) => {
  const { output, write } = stage(t);
  output.begin();
  for (let count = 0; count < 5; count += 1) {
    write("y".repeat(100_000));
    output.sync();
  }
  write("\n");
  assert.equal(output.sync()[0]?.length, 16 * 1024);
});

test("without a file, as on a full disk, there are no lines and no errors", async (t) => {
  const { clock, heard, output } = stage(t);
  output.begin();
  await clock.pass(1_000);
  assert.deepEqual(output.lastLines(5), []);
  output.end();
  assert.deepEqual(heard, []);
});

test("after the start the file is looked at once a second", async (t) => {
  const { clock, heard, output, write } = stage(t);
  output.begin();
  output.relax();
  await clock.pass(100);
  write("served\n");
  await clock.pass(900);
  assert.deepEqual(heard, []);
  await clock.pass(200);
  assert.deepEqual(heard, ["served"]);
  output.end();
});
