import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./load.ts";

function warned(model: string, top = ""): readonly string[] {
  const { warnings } = parseConfig(`${top}\nmodels: {a: {model_path: x, ${model}}}`, "f", {});
  return warnings.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

describe("a model that cannot sleep as it is told to", () => {
  it("is warned of where it would need more of the host's memory than there is for all", () => {
    assert.deepEqual(warned("host_memory: 65GiB", "host_memory_for_sleep: 64GiB"), [
      "2:42 models.a.host_memory: expected at most host_memory_for_sleep, 64 GiB, found 65 GiB: it will never sleep at level 1, but deeper",
    ]);
    assert.deepEqual(warned("host_memory: 64GiB", "host_memory_for_sleep: 64GiB"), []);
    assert.deepEqual(warned("host_memory: 65GiB, sleep_level: 2", "host_memory_for_sleep: 64GiB"), []);
    assert.deepEqual(warned("host_memory: 65GiB"), []);
  });

  it("is warned of where its engine is stopped although requests are to stand still on it", () => {
    assert.deepEqual(warned("suspend: true, sleep_level: 3"), [
      "2:38 models.a.suspend: expected sleep_level 1 or 2 beside suspend, found 3: an engine that is stopped ends what runs on it",
    ]);
    assert.deepEqual(warned("suspend: true, sleep_level: 2"), []);
  });
});
