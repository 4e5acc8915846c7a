/** Depth B: the whole app in one process. */
import type { AppOutcome } from "./app/simulate-app.ts";
import { generateAppScenario } from "./app/scenario-generator.ts";
import { shrinkApp } from "./app/shrink-app.ts";
import { simulateApp } from "./app/simulate-app.ts";
import type { Depth, DepthOutcome } from "./depth.ts";

/** Gateway, scheduler, orchestrator, control and metrics are the real ones; engines, processes, GPUs, network and time are not. */
export const WHOLE_APP: Depth = {
  letter: "b",
  name: "the whole app",
  counts: "requests",
  run: async (seed, keepLines) => outcomeOf(await simulateApp(generateAppScenario(seed), { keepLines })),
  async shrink(seed, rule) {
    const fails = async (candidate: Parameters<typeof shrinkApp>[0]): Promise<boolean> =>
      (await simulateApp(candidate)).broken?.rule === rule;
    const smallest = await shrinkApp(generateAppScenario(seed), fails);
    return { scenario: smallest, outcome: outcomeOf(await simulateApp(smallest, { keepLines: true })) };
  },
};

function outcomeOf({ requests, ...rest }: AppOutcome): DepthOutcome {
  return { ...rest, counted: requests };
}
