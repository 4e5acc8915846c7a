import assert from "node:assert/strict";
import { test } from "node:test";
import { vllm } from "../engines/vllm.ts";
import { startFailure } from "./start-failure.ts";

const ENGINE = vllm([]);

test("a start that found too little memory has a code of its own, and the engine's figures in its message", () => {
  const cause =
    "ValueError: Free memory on device cuda:0 (2.40/24.00 GiB) on startup is less than desired GPU memory utilization (0.9, 21.60 GiB).";
  const lines = [
    `(EngineCore pid=2) ERROR 08-20 12:00:00 [core.py:1] ${cause}`,
    "RuntimeError: Engine core initialization failed. See root cause above.",
  ];
  const { code, message, lastOutput } = startFailure("m", "exited with code 1 before it was ready", lines, ENGINE);
  assert.deepEqual([code, message], ["out_of_memory", `the engine of m found too little GPU memory: ${cause}`]);
  assert.equal(lastOutput?.length, 2);
});

test("every other start that failed says what happened and how its output ends", () => {
  const { code, message } = startFailure("m", "was not ready within 5 s", ["OSError: no such file"], ENGINE);
  assert.deepEqual(
    [code, message],
    ["start_failed", "the engine of m was not ready within 5 s; its output ends with: OSError: no such file"],
  );
  assert.match(startFailure("m", "exited", [], ENGINE).message, /it printed nothing$/);
});

test("an operator gets the last thirty lines, however many the cause was looked for in", () => {
  const lines = Array.from({ length: 200 }, (_, at) => `line ${at}`);
  assert.deepEqual(startFailure("m", "exited", lines, ENGINE).lastOutput, lines.slice(-30));
});
