/** How vLLM's behaviour around sleep changed from version to version. */
import { UsageError } from "./usage-error.ts";

/** What a given version of vLLM does. */
export interface EngineVersion {
  /** As printed and as `/version` answers. */
  readonly name: string;
  /** From 0.17: a request for a sleeping engine waits for the wake; before, it touched unmapped memory and killed the engine. */
  readonly queuesWhileAsleep: boolean;
  /** From 0.25: waking one tag leaves the scheduler paused until all are awake. */
  readonly partialWakeStaysPaused: boolean;
  /** 0.14 and 0.15: /sleep answered 200 and freed nothing even with sleep mode enabled. */
  readonly sleepFreesMemory: boolean;
  /** From 0.18: --shutdown-timeout lets running work end after SIGTERM. */
  readonly drainsOnShutdown: boolean;
  /** From 0.17: /reset_prefix_cache answers with {"success":bool}; before, with an empty body. */
  readonly resetAnswersJson: boolean;
  /** From 0.15: the first line with the version is part of a banner; before, it was "vLLM API server version N". */
  readonly printsBanner: boolean;
  /**
   * What changed somewhere after 0.28 and by 0.32, here from 0.29: the bodies of /sleep and /wake_up (before: empty), 400 for a
   * mode that is none (500), the names in the 404 of an unknown model, the sleep state in /metrics after a partial wake, lines
   * that are not a logger's without a prefix, and the words of some lines.
   */
  readonly manner: "0.28" | "0.32";
}

/** The version behaved like when none is asked for. */
export const defaultVersion = "0.32.0";

/** Reads a version such as `0.13` or `0.28.1`; throws `UsageError` for anything else. */
export function engineVersion(name: string): EngineVersion {
  const match = /^(\d+)\.(\d+)(\.[0-9a-z.+]*)?$/.exec(name);
  if (match === null)
    throw new UsageError(`--mock-version: expected a version such as ${defaultVersion}, found "${name}"`);
  const minor = Number(match[1]) * 1000 + Number(match[2]);
  return {
    name,
    queuesWhileAsleep: minor >= 17,
    partialWakeStaysPaused: minor >= 25,
    sleepFreesMemory: minor !== 14 && minor !== 15,
    drainsOnShutdown: minor >= 18,
    resetAnswersJson: minor >= 17,
    printsBanner: minor >= 15,
    manner: minor >= 29 ? "0.32" : "0.28",
  };
}
