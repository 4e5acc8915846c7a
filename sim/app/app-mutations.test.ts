/** The simulation of the whole app can fail: with a deliberate bug it does, and for the right reason. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BUGS_AROUND_THE_APP } from "./bugs-around-the-app.ts";
import { BUGS_AT_THE_DOOR } from "./bugs-at-the-door.ts";
import { generateAppScenario } from "./scenario-generator.ts";
import { simulateApp } from "./simulate-app.ts";

/** A bug that shows in none of so many scenarios would slip through. */
const SEEDS_MAX = 60;

describe("the simulation of the whole app notices an llmux that", () => {
  for (const [what, makeBug] of Object.entries({ ...BUGS_AROUND_THE_APP, ...BUGS_AT_THE_DOOR })) {
    it(what, async (test) => {
      const { firstSeed = 1 } = makeBug();
      for (let seed = firstSeed; seed < firstSeed + SEEDS_MAX; seed += 1) {
        const scenario = generateAppScenario(seed);
        const { mutation, noticedBy } = makeBug();
        const { broken } = await simulateApp(scenario, { mutation });
        if (broken === null) continue;
        test.diagnostic(`seed ${seed}: ${broken.rule}: ${broken.message}`);
        assert.ok(noticedBy.includes(broken.rule), `noticed by the wrong rule: ${broken.rule}: ${broken.message}`);
        assert.equal((await simulateApp(scenario)).broken, null, "the same scenario passes without the bug");
        return;
      }
      assert.fail(`nobody noticed in ${SEEDS_MAX} seeds`);
    });
  }
});
