/** From the rows of a trace to the requests of a run, and the traces of which nothing comes. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { parseConfig } from "../config/load.ts";
import { loadArrivals, type Arrivals } from "./arrivals.ts";
import type { Selection } from "./thinning.ts";
import { TraceError } from "./trace-file.ts";

const HEADER = "timestamp_s,model,prompt_tokens,output_tokens";

const { models: MODELS } = parseConfig(
  JSON.stringify({
    models: { small: { model_path: "org/small", aliases: ["little"] }, large: { model_path: "org/l" } },
  }),
  "llmux.yaml",
  {},
);

const ALL: Selection = { fromS: 0, toS: Infinity, keep: 1, seed: 1 };

let folder = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-arrivals-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function load(content: string | Uint8Array, selection: Partial<Selection> = {}): Promise<Arrivals> {
  const file = join(folder, "trace.csv");
  writeFileSync(file, content);
  return loadArrivals(file, MODELS, { ...ALL, ...selection });
}

/** What is said, without the folder: "trace.csv:3: …". */
async function faultOf(content: string | Uint8Array, selection: Partial<Selection> = {}): Promise<string> {
  try {
    await load(content, selection);
  } catch (error) {
    assert.ok(error instanceof TraceError, String(error));
    return error.message.replace(`${folder}/`, "");
  }
  return "nothing is wrong";
}

describe("the requests of a trace", () => {
  it("are for models of the configuration, by name or alias, on a clock that begins with the first of them", async () => {
    const { list, beginsAtS } = await load(`${HEADER}\n5,small,1,2\n10,little,3,4\n12.5,large,5,6\n`, { fromS: 6 });
    assert.equal(beginsAtS, 10);
    assert.deepEqual(list, [
      { atMs: 0, model: "small", promptTokens: 3, outputTokens: 4 },
      { atMs: 2_500, model: "large", promptTokens: 5, outputTokens: 6 },
    ]);
  });
});

describe("a trace of which nothing can be played", () => {
  const unknown = `${HEADER}\n1,small,1,1\n2,smal,1,1\n`;
  const expectedModel = "model: expected a model of the configuration or an alias (small, little, large), found";
  const mistakes: readonly (readonly [string, string | Uint8Array, Partial<Selection>, string | RegExp])[] = [
    ["an unknown model", unknown, {}, `trace.csv:3: ${expectedModel} "smal"; did you mean small?`],
    [
      "an unknown model outside the window too",
      unknown,
      { toS: 2 },
      `trace.csv:3: ${expectedModel} "smal"; did you mean small?`,
    ],
    ["a header alone", `${HEADER}\n`, {}, "trace.csv:1: expected at least one request, found the header alone"],
    ["an empty file", "", {}, `trace.csv:1: expected a header ${HEADER}, found an empty file`],
    ["an empty gzip file", gzipSync(""), {}, `trace.csv:1: expected a header ${HEADER}, found an empty file`],
    [
      "a broken gzip file",
      gzipSync(unknown).subarray(0, 20),
      {},
      /^trace\.csv:1: expected a whole gzip file, and it is broken/,
    ],
    [
      "missing columns",
      "timestamp_s,model\n1,small\n",
      {},
      /^trace\.csv:1: expected a header with .*, found none called prompt_tokens/,
    ],
    [
      "times that go back",
      `${HEADER}\n2,small,1,1\n1,small,1,1\n`,
      {},
      "trace.csv:3: expected times in ascending order, found 1 after 2",
    ],
    [
      "a negative number",
      `${HEADER}\n1,small,-1,1\n`,
      {},
      'trace.csv:2: prompt_tokens: expected a number of at least 0, found "-1"',
    ],
    [
      "a window without requests",
      `${HEADER}\n1,small,1,1\n`,
      { fromS: 5 },
      "trace.csv:1: none of 1 requests is left in seconds 5 to the end when 1 of them is kept",
    ],
  ];
  for (const [what, content, selection, expected] of mistakes) {
    it(`is told of with file and line: ${what}`, async () => {
      const fault = await faultOf(content, selection);
      if (typeof expected === "string") assert.equal(fault, expected);
      else assert.match(fault, expected);
    });
  }
});
