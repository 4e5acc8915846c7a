/** What the scheduler is told of models as they are configured. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../src/config/load.ts";
import { planPlacement } from "../src/config/placement-plan.ts";
import { modelSpecs } from "../src/scheduling.ts";

test("an engine that is not ours is asked again soon after it has failed, unless others would have to leave for it", () => {
  const text = `models:
  theirs: { engine: { external: { url: "http://127.0.0.1:9" } } }
  theirs-with-gpu: { engine: { external: { url: "http://127.0.0.1:9", sleep: /sleep, wake: /wake } }, gpus: [0] }
  ours: { model_path: x }`;
  const config = parseConfig(text, "f", {});
  const specs = modelSpecs(config, planPlacement(config.models, config.gpus));
  assert.deepEqual(
    specs.map(({ id, retryMaxMs = null }) => [id, retryMaxMs]),
    [
      ["theirs", 10_000],
      ["theirs-with-gpu", null],
      ["ours", null],
    ],
  );
});

function limitsUnder(policy: string): unknown {
  const text = `policy: { policy_type: ${policy} }
models:
  plain: { model_path: x }
  flag: { model_path: x, extra_args: [--max-num-seqs, "8"] }
  said: { model_path: x, extra_args: [--max-num-seqs, "8"], max_in_flight: 3 }
  theirs: { engine: { external: { url: "http://127.0.0.1:9" } }, max_in_flight: 100 }`;
  const config = parseConfig(text, "f", {});
  const specs = modelSpecs(config, planPlacement(config.models, config.gpus));
  return Object.fromEntries(specs.map(({ id, inFlightMax = null }) => [id, inFlightMax]));
}

test("as many requests are let in at once as the file says, else as the policy needs", () => {
  assert.deepEqual(limitsUnder("fifo"), { plain: null, flag: null, said: 3, theirs: 100 });
  assert.deepEqual(limitsUnder("bounded-wait"), { plain: 64, flag: 8, said: 3, theirs: 100 });
});
