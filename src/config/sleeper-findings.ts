/** Models that cannot sleep the way they are told to. */

import { formatByteSize } from "./byte-size.ts";
import type { Config } from "./config.ts";
import type { Finding } from "./finding.ts";

/** Checks how each model sleeps. */
export function sleeperFindings(config: Pick<Config, "models" | "hostMemoryForSleepBytes">): Finding[] {
  const budgetBytes = config.hostMemoryForSleepBytes;
  return config.models.flatMap(({ name, sleepLevel, hostMemoryBytes, canSuspend }): Finding[] => {
    if (canSuspend && sleepLevel === 3) {
      const message =
        "expected sleep_level 1 or 2 beside suspend, found 3: an engine that is stopped ends what runs on it";
      return [{ severity: "warning", path: ["models", name, "suspend"], message }];
    }
    if (sleepLevel !== 1 || hostMemoryBytes === null || budgetBytes === null || hostMemoryBytes <= budgetBytes)
      return [];
    const message =
      `expected at most host_memory_for_sleep, ${formatByteSize(budgetBytes)}, found ${formatByteSize(hostMemoryBytes)}: ` +
      "it will never sleep at level 1, but deeper";
    return [{ severity: "warning", path: ["models", name, "host_memory"], message }];
  });
}
