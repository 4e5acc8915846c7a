/** Which part of a trace is kept. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { newThinning, type Selection } from "./thinning.ts";
import type { TraceRow } from "./trace-file.ts";

const row = (timestampS: number, model: string): TraceRow => {
  return { line: timestampS + 2, timestampS, model, promptTokens: 1, outputTokens: 1 };
};

/** Three of a to one of b. */
const ROWS = Array.from({ length: 8000 }, (_, index) => row(index, index % 4 === 0 ? "b" : "a"));

const ALL: Selection = { fromS: 0, toS: Infinity, keep: 1, seed: 1 };

function kept(selection: Partial<Selection>, rows: readonly TraceRow[] = ROWS): readonly number[] {
  return rows.filter(newThinning({ ...ALL, ...selection })).map(({ timestampS }) => timestampS);
}

describe("thinning", () => {
  it("keeps everything unless told otherwise", () => {
    assert.equal(kept({}).length, ROWS.length);
  });

  it("keeps a window from its first second on, without its last", () => {
    assert.deepEqual(kept({ fromS: 5, toS: 8 }), [5, 6, 7]);
  });

  it("keeps about the share of each model", () => {
    const times = new Set(kept({ keep: 0.3 }));
    for (const model of ["a", "b"]) {
      const own = ROWS.filter((each) => each.model === model);
      const share = own.filter(({ timestampS }) => times.has(timestampS)).length / own.length;
      assert.ok(Math.abs(share - 0.3) < 0.03, `${model}: ${share}`);
    }
  });

  it("keeps the same for the same seed, and other requests for another", () => {
    assert.deepEqual(kept({ keep: 0.5, seed: 7 }), kept({ keep: 0.5, seed: 7 }));
    assert.notDeepEqual(kept({ keep: 0.5, seed: 7 }), kept({ keep: 0.5, seed: 8 }));
  });

  it("keeps the same of a model whatever the window is and whoever else asks", () => {
    const all = kept({ keep: 0.5 });
    const window = kept({ keep: 0.5, fromS: 1000, toS: 2000 });
    assert.deepEqual(
      window,
      all.filter((timestampS) => timestampS >= 1000 && timestampS < 2000),
    );
    const onlyB = ROWS.filter(({ model }) => model === "b");
    assert.deepEqual(
      kept({ keep: 0.5 }, onlyB),
      all.filter((timestampS) => timestampS % 4 === 0),
    );
  });

  it("keeps all that a smaller share keeps", () => {
    const more = new Set(kept({ keep: 0.6 }));
    assert.ok(kept({ keep: 0.2 }).every((timestampS) => more.has(timestampS)));
  });
});
