import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { EngineRecords, type EngineRecord } from "./engine-record.ts";

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "llmux-records-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function recordOf(model: string, extra: Partial<EngineRecord> = {}): EngineRecord {
  return {
    model,
    marker: "LLMUX_ENGINE=1",
    port: 8_001,
    command: ["vllm", "serve"],
    pid: null,
    startTime: null,
    commandLines: [],
    executable: "",
    ...extra,
  };
}

test("what is written is read again, the last version of each model, whatever it is called", (t) => {
  const folder = folderFor(t);
  const records = new EngineRecords(folder);
  const names = ["tiny", "org/tiny", "模".repeat(128), "tiny.json"];
  for (const name of names) records.write(recordOf(name));
  for (const name of names)
    records.write(recordOf(name, { pid: 7, startTime: "boot:1", commandLines: ["vllm serve"] }));
  const read = new EngineRecords(folder).readAll();
  assert.deepEqual(read.broken, []);
  assert.deepEqual(
    new Set(read.records.map(({ model, pid }) => `${model} ${pid}`)),
    new Set(names.map((name) => `${name} 7`)),
  );
  for (const name of names) records.remove(name);
  assert.deepEqual(readdirSync(join(folder, "engines")), []);
});

test("a record that is no record is named, and does not hide the others; half of a new one is nothing", (t) => {
  const folder = folderFor(t);
  const records = new EngineRecords(folder);
  records.write(recordOf("good"));
  const broken = ["", "null", "[]", '{"model":"m"}', '{"model":"m","marker":"x","pid":1,"commandLines":[]}', '"text"'];
  for (const [index, text] of broken.entries()) writeFileSync(join(folder, "engines", `${index}.json`), text);
  writeFileSync(join(folder, "engines", "half.json.new"), '{"model":');
  const read = records.readAll();
  assert.deepEqual(read.records, [recordOf("good")]);
  assert.equal(read.broken.length, broken.length);
});

test("without a folder there are no records, and removing one that is not there is fine", (t) => {
  const records = new EngineRecords(folderFor(t));
  assert.deepEqual(records.readAll(), { records: [], broken: [] });
  records.remove("tiny");
});

test("a record that cannot take its place leaves the old one", (t) => {
  const folder = folderFor(t);
  const records = new EngineRecords(folder);
  records.write(recordOf("tiny"));
  mkdirSync(join(folder, "engines", "tiny.json.new"));
  assert.throws(() => records.write(recordOf("tiny", { pid: 7 })));
  assert.deepEqual(records.readAll().records, [recordOf("tiny")]);
});
