/** Depth A: the scheduler alone. */
import type { Depth, DepthOutcome } from "./depth.ts";
import { generateScenario } from "./scenario-generator.ts";
import { shrink } from "./shrink.ts";
import { simulate, type Outcome } from "./simulate.ts";

/** Its effects move a world of engines and clients that knows nothing of processes and HTTP. */
export const SCHEDULER_ALONE: Depth = {
  letter: "a",
  name: "the scheduler alone",
  counts: "switches",
  run: (seed, keepLines) => Promise.resolve(outcomeOf(simulate(generateScenario(seed), { keepLines }))),
  shrink(seed, rule) {
    const smallest = shrink(generateScenario(seed), (candidate) => simulate(candidate).broken?.rule === rule);
    return Promise.resolve({ scenario: smallest, outcome: outcomeOf(simulate(smallest, { keepLines: true })) });
  },
};

function outcomeOf({ switches, ...rest }: Outcome): DepthOutcome {
  return { ...rest, counted: switches };
}
