/** `mock-vllm nvidia-smi`: the ledger in the shape of nvidia-smi's two CSV queries. */
import { gpuUuid } from "./gpus.ts";
import { defaultLedgerDir, Ledger } from "./ledger.ts";
import type { DeviceState, Holding, LedgerSnapshot } from "./ledger-entries.ts";
import { formatBytes } from "./quantity.ts";
import { readSettings } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

type GpuState = DeviceState & { readonly device: number };

const gpuFields: Readonly<Record<string, (gpu: GpuState) => string>> = {
  index: (gpu) => String(gpu.device),
  uuid: (gpu) => gpuUuid(gpu.device),
  gpu_uuid: (gpu) => gpuUuid(gpu.device),
  name: (gpu) => `Pretend GPU ${formatBytes(gpu.totalBytes)}`,
  "memory.total": (gpu) => mib(gpu.totalBytes),
  "memory.used": (gpu) => mib(gpu.usedBytes),
  "memory.free": (gpu) => mib(gpu.totalBytes - gpu.usedBytes),
  "utilization.gpu": () => "0",
};
const processFields: Readonly<Record<string, (holding: Holding) => string>> = {
  pid: (holding) => String(holding.pid),
  process_name: (holding) => holding.name,
  name: (holding) => holding.name,
  gpu_uuid: (holding) => (holding.device === "host" ? "" : gpuUuid(holding.device)),
  used_memory: (holding) => mib(holding.bytes),
  used_gpu_memory: (holding) => mib(holding.bytes),
};
const units: Readonly<Record<string, string>> = {
  "memory.total": "MiB",
  "memory.used": "MiB",
  "memory.free": "MiB",
  used_memory: "MiB",
  used_gpu_memory: "MiB",
  "utilization.gpu": "%",
};

/** Prints what was asked for; without a query, all GPUs and processes. Throws `UsageError` for a query it does not know. */
export function nvidiaSmi(words: readonly string[]): void {
  const settings = readSettings(new Map(), process.env);
  using ledger = Ledger.open(settings.ledgerDir ?? defaultLedgerDir(), settings);
  process.stdout.write(answer(words, ledger.snapshot()));
}

function answer(words: readonly string[], snapshot: LedgerSnapshot): string {
  const gpus = snapshot.devices.filter((one): one is GpuState => one.device !== "host");
  const holdings = snapshot.holdings.filter((one) => one.device !== "host");
  const options = optionsOf(words);
  const chosen = options.get("id");
  const isChosen = (index: number): boolean =>
    chosen === undefined || chosen.split(",").some((id) => id === String(index) || id === gpuUuid(index));
  const gpuQuery = options.get("query-gpu");
  if (gpuQuery !== undefined)
    return table(
      gpuQuery,
      options.get("format"),
      gpuFields,
      gpus.filter((gpu) => isChosen(gpu.device)),
    );
  const processQuery = options.get("query-compute-apps");
  if (processQuery !== undefined) {
    const here = holdings.filter((one) => one.device !== "host" && isChosen(one.device));
    return table(processQuery, options.get("format"), processFields, here);
  }
  return (
    table("index,name,memory.used,memory.total", "csv", gpuFields, gpus) +
    table("pid,process_name,gpu_uuid,used_memory", "csv", processFields, holdings)
  );
}

function optionsOf(words: readonly string[]): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const [at, word] of words.entries()) {
    const match = /^--?(query-gpu|query-compute-apps|format|id|i)(?:=(.*))?$/.exec(word);
    if (match !== null) options.set(match[1] === "i" ? "id" : (match[1] ?? ""), match[2] ?? words[at + 1] ?? "");
    else if (word.startsWith("-")) {
      throw new UsageError(
        `nvidia-smi: expected --query-gpu=, --query-compute-apps=, --format= or -i, found "${word}"`,
      );
    }
  }
  return options;
}

function table<T>(
  query: string,
  format: string | undefined,
  fields: Readonly<Record<string, (row: T) => string>>,
  rows: readonly T[],
): string {
  const style = (format ?? "").split(",");
  if (!style.includes("csv"))
    throw new UsageError(`nvidia-smi: expected --format=csv[,noheader][,nounits], found "${format ?? ""}"`);
  const withUnits = !style.includes("nounits");
  const columns = query.split(",").map((name) => name.trim());
  for (const name of columns) {
    if (!Object.hasOwn(fields, name))
      throw new UsageError(`nvidia-smi: expected fields of ${Object.keys(fields).join(", ")}, found "${name}"`);
  }
  const unitOf = (name: string): string => (withUnits && units[name] !== undefined ? ` ${units[name]}` : "");
  const header = style.includes("noheader")
    ? []
    : [columns.map((name) => (units[name] === undefined ? name : `${name} [${units[name]}]`)).join(", ")];
  const lines = rows.map((row) => columns.map((name) => `${fields[name]?.(row) ?? ""}${unitOf(name)}`).join(", "));
  return [...header, ...lines].map((line) => `${line}\n`).join("");
}

function mib(bytes: number): string {
  return String(Math.round(bytes / 2 ** 20));
}
