import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gpuMemoryUtilizationIn, maxNumSeqsIn, parallelSizeIn } from "./engine-flags.ts";

describe("the share of a GPU's memory that an engine takes", () => {
  for (const [args, share] of [
    ["", null],
    ["--gpu-memory-utilization 0.5", 0.5],
    ["--gpu-memory-utilization=0.5", 0.5],
    ["--gpu_memory_utilization 0.5", 0.5],
    ["--gpu_memory_utilization=.5", 0.5],
    ["--gpu-memory-utilization 0.5 --seed 1 --gpu_memory_utilization=1", 1],
    ["--gpu-memory-utilization 0", null],
    ["--gpu-memory-utilization 1.1", null],
    ["--gpu-memory-utilization", null],
    ["--gpu-memory-utilization=", null],
    ["--gpu-memory-utilization half", null],
    ["-gpu-memory-utilization 0.5", null],
  ] as const) {
    it(`is ${share ?? "not said"} for "${args}"`, () => assert.equal(gpuMemoryUtilizationIn(words(args)), share));
  }
});

describe("the number of GPUs that an engine takes", () => {
  for (const [args, count] of [
    ["", 1],
    ["--tensor-parallel-size 4", 4],
    ["--tensor_parallel_size=4", 4],
    ["-tp 4", 4],
    ["-tp=4", 4],
    ["-tp 4 --pipeline-parallel-size 2", 8],
    ["-pp 2", 2],
    ["-tp 2 --pipeline_parallel_size=2 -tp 4", 8],
    ["-tp 2 -dp 2", 4],
    ["-tp 2 --data-parallel-size 8 --data-parallel-size-local 2", 4],
    ["-tp 0", 1],
    ["-tp two", 1],
    ["-tp 99999", 1],
    ["-tp", 1],
    ["-t_p 4", 1],
  ] as const) {
    it(`is ${count} for "${args}"`, () => assert.equal(parallelSizeIn(words(args)), count));
  }
});

describe("the number of requests that an engine runs at once", () => {
  for (const [args, count] of [
    ["--max-num-seqs 8", 8],
    ["--max-num-seqs 8 --max_num_seqs=16", 16],
    ["--max-num-seqs 0", null],
    ["--max-num-seqs many", null],
    ["", null],
  ] as const) {
    it(`is ${count ?? "not said"} for "${args}"`, () => assert.equal(maxNumSeqsIn(words(args)), count));
  }
});

function words(text: string): readonly string[] {
  return text === "" ? [] : text.split(" ");
}
