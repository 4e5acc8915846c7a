/** Traces that can be read, and everything that can be wrong with one. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { readTrace, TraceError, type TraceRow } from "./trace-file.ts";

const HEADER = "timestamp_s,model,prompt_tokens,output_tokens";

let folder = "";
let files = 0;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-trace-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function fileWith(content: string | Uint8Array): string {
  files += 1;
  const file = join(folder, `${files}.csv`);
  writeFileSync(file, content);
  return file;
}

async function readAll(file: string): Promise<readonly TraceRow[]> {
  const rows: TraceRow[] = [];
  for await (const row of readTrace(file)) rows.push(row);
  return rows;
}

async function rowsOf(content: string | Uint8Array): Promise<readonly TraceRow[]> {
  return readAll(fileWith(content));
}

/** What is said, without the file: "3: …". */
async function faultOf(file: string): Promise<string> {
  try {
    await readAll(file);
  } catch (error) {
    assert.ok(error instanceof TraceError, String(error));
    assert.ok(error.message.startsWith(`${file}:`), error.message);
    return error.message.slice(file.length + 1);
  }
  return "nothing is wrong";
}

describe("a trace", () => {
  const text = `${HEADER}\n0.5,a,10,20\n0.5,org/b:1,0,1\n3e1,a,7,0\n`;
  const rows = [
    { line: 2, timestampS: 0.5, model: "a", promptTokens: 10, outputTokens: 20 },
    { line: 3, timestampS: 0.5, model: "org/b:1", promptTokens: 0, outputTokens: 1 },
    { line: 4, timestampS: 30, model: "a", promptTokens: 7, outputTokens: 0 },
  ];

  it("is read row by row, with its lines", async () => {
    assert.deepEqual(await rowsOf(text), rows);
  });

  it("may be gzipped, whatever it is called, and in several parts", async () => {
    assert.deepEqual(await rowsOf(gzipSync(text)), rows);
    const parts = [text.slice(0, 50), text.slice(50)].map((part) => gzipSync(part));
    assert.deepEqual(await rowsOf(Buffer.concat(parts)), rows);
  });

  it("may have ends of lines as on Windows, a byte order mark, empty lines and no end at its end", async () => {
    const other = `\uFEFF${text.replaceAll("\n", "\r\n")}\r\n`;
    assert.deepEqual(await rowsOf(other), rows);
    assert.deepEqual(await rowsOf(text.trimEnd()), rows);
  });

  it("may have its columns in any order, and others besides", async () => {
    const [row] = await rowsOf("model,user,output_tokens, prompt_tokens,timestamp_s\na,x y,2, 1 ,9\n");
    assert.deepEqual(row, { line: 2, timestampS: 9, model: "a", promptTokens: 1, outputTokens: 2 });
  });

  it("is put together again where pieces of a large file end within a line", async () => {
    const many = Array.from({ length: 30_000 }, (_, index) => `${index},mödel-${index},${index},1`);
    const read = await rowsOf([HEADER, ...many].join("\n"));
    assert.equal(read.length, 30_000);
    assert.ok(read.every((row, index) => row.model === `mödel-${index}` && row.promptTokens === index));
  });
});

describe("a trace that cannot be used", () => {
  /** [what is wrong, the file, the whole of what is said]. */
  const mistakes: readonly (readonly [string, string, string | RegExp])[] = [
    ["an empty file", "", `1: expected a header ${HEADER}, found an empty file`],
    [
      "missing columns",
      "timestamp_s,model,tokens\n",
      `1: expected a header with ${HEADER}, found none called prompt_tokens, output_tokens`,
    ],
    ["no header", "1,a,2,3\n", /^1: expected a header with .*, found none called timestamp_s, model, /],
    [
      "times that go back",
      `${HEADER}\n5,a,1,1\n4.5,a,1,1\n`,
      "3: expected times in ascending order, found 4.5 after 5",
    ],
    ["a negative time", `${HEADER}\n-1,a,1,1\n`, '2: timestamp_s: expected a number of at least 0, found "-1"'],
    ["a time that is none", `${HEADER}\nNaN,a,1,1\n`, '2: timestamp_s: expected a number of at least 0, found "NaN"'],
    ["an endless time", `${HEADER}\n1e999,a,1,1\n`, '2: timestamp_s: expected a number of at least 0, found "1e999"'],
    ["negative tokens", `${HEADER}\n1,a,-3,1\n`, '2: prompt_tokens: expected a number of at least 0, found "-3"'],
    ["half a token", `${HEADER}\n1,a,3,1.5\n`, '2: output_tokens: expected a whole number, found "1.5"'],
    ["no tokens", `${HEADER}\n1,a,3,\n`, "2: output_tokens: expected a number of at least 0, found nothing"],
    ["no model", `${HEADER}\n1,,3,1\n`, "2: model: expected a name, found nothing"],
    ["too few values", `${HEADER}\n1,a,3,1\n1,a,3\n`, "3: expected 4 values as in the header, found 3"],
    ["too many values", `${HEADER}\n1,a,3,1,5\n`, "2: expected 4 values as in the header, found 5"],
    ["a line without end", `${HEADER}\n${"x".repeat(200_000)}`, "1: expected lines of at most 10000 characters"],
  ];

  for (const [what, content, expected] of mistakes) {
    it(`says so of ${what}`, async () => {
      const fault = await faultOf(fileWith(content));
      if (typeof expected === "string") assert.equal(fault, expected);
      else assert.match(fault, expected);
    });
  }

  it("says so of a gzip file that ends too early or is damaged, with the line it came to", async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `${index},model-${index * 7919},${index},1`);
    const whole = gzipSync([HEADER, ...lines].join("\n"));
    const broken = /^(\d+): expected a whole gzip file, and it is broken after this line: \w/;
    const fault = await faultOf(fileWith(whole.subarray(0, whole.length - 1000)));
    assert.match(fault, broken);
    assert.ok(Number(broken.exec(fault)?.[1]) > 1000, fault);
    const damaged = Buffer.from(whole);
    // Its checksum.
    damaged.fill(0, whole.length - 8, whole.length - 4);
    assert.match(await faultOf(fileWith(damaged)), broken);
    assert.match(await faultOf(fileWith(whole.subarray(0, 5))), broken);
  });

  it("says so of a file that is not there, and of a directory", async () => {
    assert.equal(await faultOf(join(folder, "none.csv")), "1: expected a trace, found no such file");
    assert.equal(await faultOf(folder), "1: expected a trace, found a directory");
  });
});
