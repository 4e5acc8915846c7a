/** vLLM's command line, as far as the stand-in acts on it; every other flag is accepted and ignored, as extra_args must work. */
import { parseNumber } from "./quantity.ts";
import { UsageError } from "./usage-error.ts";

/** `mock-vllm serve …` understood. */
export interface ServeArguments {
  readonly model: string;
  readonly host: string | undefined;
  /** 0 to 65535; 0 takes any free port. */
  readonly port: number;
  readonly udsPath: string | undefined;
  readonly servedModelNames: readonly string[];
  readonly sleepModeEnabled: boolean;
  /** Fraction of the whole GPU, above 0 and at most 1. */
  readonly gpuMemoryUtilization: number;
  readonly tensorParallelSize: number;
  readonly apiKeys: readonly string[];
  readonly maxModelLenTokens: number;
  readonly maxNumSeqs: number;
  readonly apiServerCount: number;
  readonly shutdownTimeoutMs: number;
  readonly requestIdHeaders: boolean;
  readonly accessLog: boolean;
  /** The `mock-…` flags, without dashes in front. */
  readonly mockFlags: ReadonlyMap<string, string>;
}

interface Flag {
  readonly name: string;
  readonly values: readonly string[];
}

const shortNames: Readonly<Record<string, string>> = {
  "-tp": "tensor-parallel-size",
  "-pp": "pipeline-parallel-size",
  "-dp": "data-parallel-size",
  "-q": "quantization",
  "-asc": "api-server-count",
  "-h": "help",
};
const severalValues = new Set(["served-model-name", "api-key", "lora-modules", "allowed-origins", "middleware"]);
const switches = new Set([
  "enforce-eager",
  "trust-remote-code",
  "async-scheduling",
  "headless",
  "help",
  "return-tokens-as-token-ids",
  "calculate-kv-scales",
  "skip-tokenizer-init",
  "fully-sharded-loras",
  "language-model-only",
]);

/** vLLM's model when none is named. */
const defaultModel = "Qwen/Qwen3-0.6B";

/** Reads what stands after `serve`. Throws `UsageError` naming the flag, what was expected and what was found. */
export function parseServeArguments(args: readonly string[], env: NodeJS.ProcessEnv): ServeArguments {
  const { positionals, flags } = splitFlags(args);
  if (positionals.length > 1) {
    throw new UsageError(`serve: expected one model, found ${positionals.map((name) => `"${name}"`).join(" and ")}`);
  }
  const all = (name: string): readonly string[] | undefined => flags.findLast((flag) => flag.name === name)?.values;
  const one = (name: string): string | undefined => {
    const values = all(name);
    if (values === undefined) return undefined;
    if (values[0] === undefined) throw new UsageError(`--${name}: expected a value, found none`);
    return values[0];
  };
  const whole = (name: string, fallback: number, min: number, max = Number.MAX_SAFE_INTEGER): number => {
    const text = one(name);
    return text === undefined ? fallback : parseNumber(text, `--${name}`, { min, max, whole: true });
  };
  const on = (name: string): boolean =>
    flags.findLast((flag) => flag.name === name || flag.name === `no-${name}`)?.name === name;
  const utilization = one("gpu-memory-utilization") ?? "0.9";
  const model = positionals[0] ?? one("model") ?? defaultModel;
  const keys = all("api-key") ?? (env["VLLM_API_KEY"] ? [env["VLLM_API_KEY"]] : []);
  return {
    model,
    host: one("host"),
    port: whole("port", 8000, 0, 65535),
    udsPath: one("uds"),
    servedModelNames: all("served-model-name") ?? [model],
    sleepModeEnabled: on("enable-sleep-mode"),
    gpuMemoryUtilization: parseNumber(utilization, "--gpu-memory-utilization", { min: 0.001, max: 1, whole: false }),
    tensorParallelSize: whole("tensor-parallel-size", 1, 1, 64),
    apiKeys: keys,
    maxModelLenTokens: parseLength(one("max-model-len")),
    maxNumSeqs: whole("max-num-seqs", 256, 1),
    apiServerCount: whole("api-server-count", 1, 1),
    shutdownTimeoutMs: 1000 * whole("shutdown-timeout", 0, 0),
    requestIdHeaders: on("enable-request-id-headers"),
    accessLog: !on("disable-uvicorn-access-log"),
    mockFlags: new Map(
      flags.filter((flag) => flag.name.startsWith("mock-")).map((flag) => [flag.name, flag.values[0] ?? ""]),
    ),
  };
}

function splitFlags(args: readonly string[]): { positionals: string[]; flags: Flag[] } {
  const positionals: string[] = [];
  const flags: Flag[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at] ?? "";
    if (!isFlag(word)) {
      positionals.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const name = flagName(equals === -1 ? word : word.slice(0, equals));
    const values: string[] = [];
    if (equals !== -1) values.push(word.slice(equals + 1));
    const most = equals !== -1 || takesNoValue(word, name) ? 0 : severalValues.has(name) ? Infinity : 1;
    while (values.length < most && at + 1 < args.length && !isFlag(args[at + 1] ?? "")) {
      at += 1;
      values.push(args[at] ?? "");
    }
    flags.push({ name, values });
  }
  return { positionals, flags };
}

function isFlag(word: string): boolean {
  return /^-[^\d.]/.test(word);
}

function flagName(word: string): string {
  return shortNames[word] ?? word.replace(/^--?/, "").replaceAll("_", "-");
}

function takesNoValue(word: string, name: string): boolean {
  return switches.has(name) || /^(enable|disable|no)-/.test(name) || word.startsWith("-O");
}

function parseLength(text: string | undefined): number {
  const defaultTokens = 32_768;
  if (text === undefined || text === "auto" || text === "-1") return defaultTokens;
  const match = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(text);
  if (match === null)
    throw new UsageError(`--max-model-len: expected a number of tokens such as 8192 or 32k, found "${text}"`);
  const unit = { "": 1, k: 1e3, K: 1024, m: 1e6, M: 2 ** 20 }[match[2] ?? ""] ?? 1;
  return Math.round(Number(match[1]) * unit);
}
