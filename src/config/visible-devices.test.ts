import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./load.ts";

function config(model: string) {
  return parseConfig(`models: {a: {model_path: x, ${model}}}`, "f", {});
}

describe("CUDA_VISIBLE_DEVICES among a model's variables", () => {
  it("says which GPUs the model uses, if nothing else does", () => {
    const { models, warnings } = config('env: {CUDA_VISIBLE_DEVICES: "2,1"}, extra_args: [-tp, 2]');
    assert.deepEqual([models[0]?.gpus, warnings], [[2, 1], []]);
    assert.deepEqual(config("env: {CUDA_VISIBLE_DEVICES: 3}").models[0]?.gpus, [3]);
    assert.equal(config("env: {OTHER: 3}").models[0]?.gpus, null);
  });

  it("may hide all GPUs", () => {
    for (const text of ['""', "-1"]) assert.deepEqual(config(`env: {CUDA_VISIBLE_DEVICES: ${text}}`).warnings, []);
  });

  it("may say the same as the key gpus", () => {
    const { models, warnings } = config("gpus: [1], env: {CUDA_VISIBLE_DEVICES: 1}");
    assert.deepEqual([models[0]?.gpus, warnings], [[1], []]);
  });

  it("is warned of where it says something else than the key gpus", () => {
    const { models, warnings } = config("gpus: [0], env: {CUDA_VISIBLE_DEVICES: 1}");
    assert.deepEqual(models[0]?.gpus, [0]);
    assert.deepEqual(
      warnings.map(({ column, message }) => `${column} ${message}`),
      [
        '68 models.a.env.CUDA_VISIBLE_DEVICES: expected the GPUs of the key gpus, 0, found "1": ' +
          "the engine obeys the variable, and llmux counts its memory on other GPUs; write the key gpus instead of it",
      ],
    );
  });

  for (const text of ["GPU-8a5b", "all", '"0,0"']) {
    it(`is warned of where ${text} says nothing to llmux`, () => {
      const { models, warnings } = config(`env: {CUDA_VISIBLE_DEVICES: ${text}}`);
      assert.equal(models[0]?.gpus, null);
      assert.match(warnings[0]?.message ?? "", /expected ids such as 0,1, found ".*write the key gpus instead of it$/);
    });
  }
});
