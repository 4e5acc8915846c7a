/** Faults on demand: which there are, how they are written down, and how often each still strikes. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { UsageError } from "./usage-error.ts";

/** Every fault with what it does; `value` is the optional part after `=`. */
export const faultTable = {
  "exit-at-start": "ends the start with a message: [CODE:]MESSAGE (code 1 if not given)",
  "never-ready": "the start never ends: connections stay refused",
  "health-error": "/health answers 503",
  "slow-health": "/health takes this many ms",
  "sleep-error": "/sleep answers 500 and changes nothing in memory",
  "sleep-hang": "/sleep never answers; =after: after the memory was freed",
  "sleep-frees-nothing": "/sleep answers 200, is_sleeping is true, and no memory is freed",
  leak: "each sleep leaves this much more on the GPU, for good (e.g. 64MiB)",
  "wake-error": "/wake_up answers 500 and the engine stays asleep",
  "wake-oom": "/wake_up answers 500 with CUDA's out-of-memory message",
  "wake-hang": "/wake_up never answers; =after: after the memory was taken",
  "corrupt-after-wake": "/wake_up answers 200 and the engine says garbage from then on",
  "reload-error": "reload_weights answers 500",
  "reload-hang": "reload_weights never answers",
  "reset-cache-error": "/reset_prefix_cache answers 500",
  "request-error": "a request is answered with this status (500 if not given)",
  "stream-stall": "a request stops after this many chunks, its connection open",
  "crash-engine-on-request": "EngineCore is killed when a request comes in",
  "crash-api-on-request": "the API server is killed when a request comes in; EngineCore stays",
  "crash-engine-after-chunks": "EngineCore is killed after this many chunks of a stream",
  "crash-api-after-chunks": "the API server is killed after this many chunks of a stream; EngineCore stays",
  "crash-engine-on-sleep": "EngineCore is killed by /sleep",
  "crash-engine-on-wake": "EngineCore is killed by /wake_up",
  "ignore-sigterm": "SIGTERM does nothing",
  "stop-reading": "nothing that clients send is read any more; =MS: for so long",
} as const;

/** The name of a fault. */
export type FaultName = keyof typeof faultTable;

/** A fault that has been ordered. `times` is how often it strikes from now on; null means always. */
export interface Fault {
  readonly times: number | null;
  readonly value: string;
}

/** Reads `sleep-error*1,leak=64MiB,stream-stall=3*2`; throws `UsageError` for anything else. */
export function parseFaults(text: string): ReadonlyMap<FaultName, Fault> {
  const faults = new Map<FaultName, Fault>();
  for (const part of text.split(",").filter((one) => one.trim() !== "")) {
    const match = /^\s*([a-z-]+)(?:=(.*?))?(?:\*(\d+))?\s*$/.exec(part);
    const name = match?.[1] ?? part.trim();
    if (match === null || !isFaultName(name)) throw unknownFault(name);
    faults.set(name, { times: match[3] === undefined ? null : Number(match[3]), value: match[2] ?? "" });
  }
  return faults;
}

/** Reads faults as JSON: `{"leak":{"value":"64MiB"},"wake-oom":{"times":1},"sleep-hang":true,"wake-hang":false}`. */
export function readFaults(json: unknown): ReadonlyMap<FaultName, Fault | undefined> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new UsageError(`faults: expected an object such as {"wake-oom":{"times":1}}, found ${JSON.stringify(json)}`);
  }
  const faults = new Map<FaultName, Fault | undefined>();
  for (const [name, order] of Object.entries(json)) {
    if (!isFaultName(name)) throw unknownFault(name);
    faults.set(name, readFault(name, order));
  }
  return faults;
}

/** The faults of one engine: those ordered for it, and behind them those of a file that outlives it. */
export class Faults {
  readonly #ordered = new Map<FaultName, Fault>();
  readonly #file: string | undefined;
  readonly #exclusively: (action: () => void) => void;

  /** `exclusively` runs an action while no other process may touch the file. */
  constructor(ordered: ReadonlyMap<FaultName, Fault>, file?: string, exclusively?: (action: () => void) => void) {
    for (const [name, fault] of ordered) this.#ordered.set(name, fault);
    this.#file = file;
    this.#exclusively = exclusively ?? ((action) => action());
  }

  /** Lets a fault strike: its value if it was ordered (one time fewer from now on), else undefined. */
  take(name: FaultName): string | undefined {
    const fault = this.#ordered.get(name);
    if (fault !== undefined) {
      const left = onceLess(fault);
      if (left === undefined) this.#ordered.delete(name);
      else this.#ordered.set(name, left);
      return fault.value;
    }
    return this.#takeFromFile(name);
  }

  /** Orders faults, or calls them off where undefined. */
  order(changes: ReadonlyMap<FaultName, Fault | undefined>): void {
    for (const [name, fault] of changes) {
      if (fault === undefined) this.#ordered.delete(name);
      else this.#ordered.set(name, fault);
    }
  }

  /** Calls all off, those of the file excepted. */
  clear(): void {
    this.#ordered.clear();
  }

  /** Those ordered, and what the file holds. */
  list(): { readonly ordered: Record<string, Fault>; readonly file: Record<string, Fault> } {
    return { ordered: Object.fromEntries(this.#ordered), file: Object.fromEntries(this.#readFile()) };
  }

  #takeFromFile(name: FaultName): string | undefined {
    if (this.#file === undefined || !this.#readFile().has(name)) return undefined;
    const file = this.#file;
    let value: string | undefined;
    this.#exclusively(() => {
      const faults = this.#readFile();
      const fault = faults.get(name);
      if (fault === undefined) return;
      value = fault.value;
      const left = onceLess(fault);
      if (left === undefined) faults.delete(name);
      else faults.set(name, left);
      const draft = `${file}.${process.pid}`;
      writeFileSync(draft, JSON.stringify(Object.fromEntries(faults)));
      renameSync(draft, file);
    });
    return value;
  }

  #readFile(): Map<FaultName, Fault> {
    if (this.#file === undefined) return new Map();
    let text: string;
    try {
      text = readFileSync(this.#file, "utf8");
    } catch {
      // No file, no faults: it may be written later.
      return new Map();
    }
    const faults = new Map<FaultName, Fault>();
    for (const [name, fault] of readFaults(parseJson(text, this.#file)))
      if (fault !== undefined) faults.set(name, fault);
    return faults;
  }
}

function onceLess(fault: Fault): Fault | undefined {
  if (fault.times === null) return fault;
  return fault.times <= 1 ? undefined : { ...fault, times: fault.times - 1 };
}

function readFault(name: FaultName, order: unknown): Fault | undefined {
  if (order === null || order === false) return undefined;
  if (order === true) return { times: null, value: "" };
  if (typeof order === "object") {
    const { times = null, value = "" } = order as { times?: unknown; value?: unknown };
    const timesFit = times === null || (typeof times === "number" && Number.isInteger(times) && times >= 0);
    if (timesFit && (typeof value === "string" || typeof value === "number")) {
      return times === 0 ? undefined : { times, value: String(value) };
    }
  }
  throw new UsageError(
    `faults: ${name}: expected true, false, or {"times": a whole number or null, "value": a text}, found ${JSON.stringify(order)}`,
  );
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `MOCK_VLLM_FAULTS_FILE: expected JSON in ${file}, found ${JSON.stringify(text.slice(0, 60))}`,
      { cause: error },
    );
  }
}

function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(faultTable, name);
}

function unknownFault(name: string): UsageError {
  return new UsageError(`faults: expected one of ${Object.keys(faultTable).join(", ")}, found "${name}"`);
}
