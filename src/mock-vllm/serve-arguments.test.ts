import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServeArguments } from "./serve-arguments.ts";

test("vLLM's flags are understood in both spellings, with dashes or underscores", () => {
  const args = parseServeArguments(
    "org/model --host=127.0.0.1 --port 8001 --served_model_name a b c --enable-sleep-mode --gpu-memory-utilization=0.5 -tp 2".split(
      " ",
    ),
    {},
  );
  assert.equal(args.model, "org/model");
  assert.equal(args.host, "127.0.0.1");
  assert.equal(args.port, 8001);
  assert.deepEqual(args.servedModelNames, ["a", "b", "c"]);
  assert.equal(args.sleepModeEnabled, true);
  assert.equal(args.gpuMemoryUtilization, 0.5);
  assert.equal(args.tensorParallelSize, 2);
});

test("flags it does not know are accepted with and without values", () => {
  const words =
    "m --dtype bfloat16 --enforce-eager --kv-cache-dtype=fp8 -O3 --rope-scaling {} --no-enable-prefix-caching --seed -1";
  const args = parseServeArguments(words.split(" "), {});
  assert.equal(args.model, "m");
  assert.equal(args.sleepModeEnabled, false);
  assert.equal(args.port, 8000);
});

test("the last of two flags counts, and --no- takes a switch back", () => {
  const args = parseServeArguments("m --port 1 --port 2 --enable-sleep-mode --no-enable-sleep-mode".split(" "), {});
  assert.equal(args.port, 2);
  assert.equal(args.sleepModeEnabled, false);
});

test("a switch before the model does not swallow it", () => {
  assert.equal(parseServeArguments(["--enable-sleep-mode", "m"], {}).model, "m");
});

test("a value that makes no sense is named with what was expected", () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["m --port abc", /--port: expected a whole number from 0 to 65535, found "abc"/],
    ["m --port", /--port: expected a value, found none/],
    ["m --port 70000", /--port: expected .* found "70000"/],
    ["m --gpu-memory-utilization 1.5", /--gpu-memory-utilization: expected a number from 0\.001 to 1, found "1\.5"/],
    ["m --max-model-len much", /--max-model-len: expected .* found "much"/],
    ["m n", /expected one model, found "m" and "n"/],
  ];
  for (const [words, message] of wrong) assert.throws(() => parseServeArguments(words.split(" "), {}), { message });
});

test("max-model-len takes human amounts", () => {
  assert.equal(parseServeArguments(["m", "--max-model-len", "32k"], {}).maxModelLenTokens, 32_000);
  assert.equal(parseServeArguments(["m", "--max-model-len", "32K"], {}).maxModelLenTokens, 32_768);
});

test("api keys come from the flag, else from VLLM_API_KEY", () => {
  assert.deepEqual(parseServeArguments(["m"], { VLLM_API_KEY: "k" }).apiKeys, ["k"]);
  assert.deepEqual(parseServeArguments(["m", "--api-key", "a", "b"], { VLLM_API_KEY: "k" }).apiKeys, ["a", "b"]);
});
