/** The simulation of the whole app keeps its promises: seeds pass, the same seed replays, a failure shrinks. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BUGS_AROUND_THE_APP } from "./bugs-around-the-app.ts";
import { generateAppScenario } from "./scenario-generator.ts";
import type { AppScenario } from "./scenario.ts";
import { shrinkApp } from "./shrink-app.ts";
import { simulateApp, type AppOutcome } from "./simulate-app.ts";

const SEEDS = Array.from({ length: 15 }, (_, index) => index + 1);

describe("the simulation of the whole app", () => {
  it("passes every rule for the first seeds, twice with the same trace, and with another one for each seed", async () => {
    const fingerprints = new Set<string>();
    for (const seed of SEEDS) {
      const first = await simulateApp(generateAppScenario(seed));
      assert.equal(first.broken, null, `seed ${seed}: ${first.broken?.rule}: ${first.broken?.message}`);
      fingerprints.add(first.fingerprint);
      if (seed > 5) continue;
      const second = await simulateApp(generateAppScenario(seed), { keepLines: true });
      assert.deepEqual({ ...second, lines: [] }, first);
      assert.ok(second.lines.length > 0);
    }
    assert.equal(fingerprints.size, SEEDS.length);
  });
});

describe("a failing scenario of the whole app", () => {
  const makeBug = BUGS_AROUND_THE_APP["changes what it passes on"];
  assert.ok(makeBug !== undefined);
  const run = (scenario: AppScenario): Promise<AppOutcome> => simulateApp(scenario, { mutation: makeBug().mutation });
  const fails = async (scenario: AppScenario): Promise<boolean> =>
    (await run(scenario)).broken?.rule === "a body arrives as it was sent";

  it("shrinks to what its bug needs", async () => {
    const scenario = generateAppScenario(1);
    assert.ok(await fails(scenario));
    const smallest = await shrinkApp(scenario, fails);
    assert.ok(await fails(smallest));
    // The bug changes every tenth request.
    assert.ok(smallest.clients.length <= 12, `${smallest.clients.length} clients are left`);
    assert.equal(smallest.models.length, 1);
    assert.deepEqual([smallest.faults, smallest.visits, smallest.killedAtMs], [[], [], []]);
  });
});
