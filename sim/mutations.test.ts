/** The simulation can fail: with a deliberate bug it does, and for the right reason. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BUGS_IN_HEARING } from "./bugs-in-hearing.ts";
import { BUGS_IN_ORDERS } from "./bugs-in-orders.ts";
import { generateScenario } from "./scenario-generator.ts";
import { simulate } from "./simulate.ts";

/** A bug that shows in none of so many scenarios would slip through. */
const SEEDS_MAX = 200;

describe("the simulation notices a scheduler that", () => {
  for (const [what, makeBug] of Object.entries({ ...BUGS_IN_ORDERS, ...BUGS_IN_HEARING })) {
    it(what, (test) => {
      for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
        const scenario = generateScenario(seed);
        const { mutation, noticedBy } = makeBug();
        const { broken } = simulate(scenario, { mutation });
        if (broken === null) continue;
        test.diagnostic(`seed ${seed}: ${broken.rule}: ${broken.message}`);
        assert.ok(noticedBy.includes(broken.rule), `noticed by the wrong rule: ${broken.rule}: ${broken.message}`);
        assert.equal(simulate(scenario).broken, null, "the same scenario passes without the bug");
        return;
      }
      assert.fail(`nobody noticed in ${SEEDS_MAX} seeds`);
    });
  }
});
