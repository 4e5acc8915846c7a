/** What can be set on the stand-in beyond vLLM's own flags: each setting is a `--mock-…` flag and a `MOCK_VLLM_…` variable. */
import { parseBytes, parseNumber } from "./quantity.ts";
import { unreachable } from "../base/assert.ts";
import { UsageError } from "./usage-error.ts";

type Kind = "bytes" | "milliseconds" | "count" | "factor" | "rate" | "text";
interface Setting {
  readonly name: string;
  readonly kind: Kind;
  readonly about: string;
}
type ValueOf<K extends Kind> = K extends "text" ? string : number;

/** Every setting, in the order of the help text. The flag is `--mock-<name>`, the variable `MOCK_VLLM_<NAME>`. */
export const settingTable = {
  gpus: {
    name: "gpus",
    kind: "text",
    about: "the machine's pretend GPUs, as 0:24GiB,1:24GiB (kept in the ledger from first use)",
  },
  ledgerDir: { name: "ledger", kind: "text", about: "directory of the ledger shared by all stand-ins of the machine" },
  hostMemoryBytes: { name: "host-memory", kind: "bytes", about: "host memory for level-1 sleep (default: no limit)" },
  weightsBytes: {
    name: "weights",
    kind: "bytes",
    about: "size of the weights (default: from the model's name, or 1GiB)",
  },
  residueBytes: {
    name: "residue",
    kind: "bytes",
    about: "left on each GPU while asleep (default: 5% of the GPU, at most 1GiB)",
  },
  loadMs: { name: "load-ms", kind: "milliseconds", about: "whole start" },
  sleepMs: { name: "sleep-ms", kind: "milliseconds", about: "falling asleep" },
  firstSleepMs: { name: "first-sleep-ms", kind: "milliseconds", about: "added to the first level-1 sleep" },
  wakeMs: { name: "wake-ms", kind: "milliseconds", about: "waking (both tags together)" },
  reloadMs: { name: "reload-ms", kind: "milliseconds", about: "reload_weights" },
  ttftMs: {
    name: "ttft-ms",
    kind: "milliseconds",
    about: "from the start of a request to its first token (default 30)",
  },
  itlMs: { name: "itl-ms", kind: "milliseconds", about: "between tokens (default 15)" },
  prefillTokensPerS: {
    name: "prefill-tokens-per-s",
    kind: "rate",
    about: "reads prompts one after another at this rate, and lets all that run share the engine's speed",
  },
  deadMs: {
    name: "dead-ms",
    kind: "milliseconds",
    about: "from EngineCore's death until connections are refused (default 200)",
  },
  timeScale: {
    name: "time-scale",
    kind: "factor",
    about: "multiplies every duration that is not set itself (0 = at once)",
  },
  answerTokens: { name: "answer-tokens", kind: "count", about: "length of an answer without max_tokens (default 24)" },
  version: { name: "version", kind: "text", about: "the vLLM version to behave like (default 0.32.0)" },
  faults: { name: "faults", kind: "text", about: "faults, as sleep-error*1,leak=64MiB (see docs/MOCK-VLLM.md)" },
  faultsFile: { name: "faults-file", kind: "text", about: "JSON file of faults whose counts outlive a restart" },
} as const satisfies Record<string, Setting>;

type Table = typeof settingTable;

/** The settings as given; undefined where a setting was not given at all. */
export type Settings = { readonly [K in keyof Table]: ValueOf<Table[K]["kind"]> | undefined };

/** The environment variable of a setting. */
export function variableOf(name: string): string {
  return `MOCK_VLLM_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** Reads all settings; a flag wins over its variable. Throws `UsageError` for a value or a flag that makes no sense. */
export function readSettings(flags: ReadonlyMap<string, string>, env: NodeJS.ProcessEnv): Settings {
  const known = new Set<string>(Object.values(settingTable).map((setting) => `mock-${setting.name}`));
  for (const flag of flags.keys()) {
    if (!known.has(flag)) throw new UsageError(`--${flag}: no such flag; there are --${[...known].join(", --")}`);
  }
  const values: Record<string, string | number | undefined> = {};
  for (const [key, setting] of Object.entries(settingTable)) {
    const flag = flags.get(`mock-${setting.name}`);
    const variable = env[variableOf(setting.name)];
    const text = flag ?? (variable === "" ? undefined : variable);
    const source = flag === undefined ? variableOf(setting.name) : `--mock-${setting.name}`;
    values[key] = text === undefined ? undefined : readValue(setting.kind, text, source);
  }
  if (values["prefillTokensPerS"] !== undefined && values["ttftMs"] !== undefined) {
    throw new UsageError(
      "--mock-prefill-tokens-per-s says when first tokens come, and --mock-ttft-ms too: leave one out",
    );
  }
  return values as Settings;
}

function readValue(kind: Kind, text: string, source: string): string | number {
  switch (kind) {
    case "text":
      return text;
    case "bytes":
      return parseBytes(text, source);
    case "milliseconds":
    case "factor":
      return parseNumber(text, source, { min: 0, max: Number.MAX_SAFE_INTEGER, whole: false });
    case "rate": {
      const rate = parseNumber(text, source, { min: 0, max: Number.MAX_SAFE_INTEGER, whole: false });
      if (rate === 0) throw new UsageError(`${source}: expected a number above 0, found "${text}"`);
      return rate;
    }
    case "count":
      return parseNumber(text, source, { min: 1, max: Number.MAX_SAFE_INTEGER, whole: true });
    default:
      return unreachable(kind);
  }
}
