/** The machine as the app needs it, in one object, so that tests can bring another one. */
import type { Dispatcher } from "undici";
import type { Clock } from "../ports/clock.ts";
import type { GpuProbe } from "../ports/gpu-probe.ts";
import type { HttpClient } from "../ports/http-client.ts";
import type { ProcessHost } from "../ports/process-host.ts";
import { availableMemoryBytes } from "./available-memory.ts";
import { lockStateDir, type InstanceLock } from "./instance-lock.ts";
import { createEnginePool } from "./engine-pool/engine-pool.ts";
import { claimPort } from "./loopback-port.ts";
import { nvidiaSmi } from "./nvidia-smi.ts";
import { systemProcesses } from "./processes.ts";
import { resolveStandIn } from "./stand-in.ts";
import { systemClock } from "./system-clock.ts";
import { createHttpClient } from "./undici-http-client.ts";

/** Everything outside the program. */
export interface Platform {
  readonly clock: Clock;
  readonly processes: ProcessHost;
  /** What engines inherit. */
  readonly environment: Readonly<Record<string, string>>;
  readonly createHttpClient: () => HttpClient & { close(): Promise<void> };
  readonly createEnginePool: (origin: string, headers?: readonly string[]) => Dispatcher & { destroy(): Promise<void> };
  readonly createGpuProbe: (command: readonly string[]) => GpuProbe;
  /** What the host's memory could give to a new program now, in bytes; null where the system does not tell. */
  readonly freeMemoryBytes: () => number | null;
  readonly claimPort: (host: string, port: number) => Promise<number>;
  readonly lockStateDir: (stateDir: string) => InstanceLock;
  /** Gives memory that is not in use back to the system, as far as that is possible; takes some ten ms. */
  readonly collectGarbage?: () => void;
  /** Replaces the names of programs that llmux brings along. */
  readonly resolveCommand: (command: readonly string[]) => readonly string[];
}

/** This machine. */
export function systemPlatform(): Platform {
  const environment = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  return {
    clock: systemClock,
    processes: systemProcesses,
    environment,
    createHttpClient,
    createEnginePool,
    createGpuProbe: (command) => nvidiaSmi(command, environment),
    freeMemoryBytes: () => availableMemoryBytes(),
    claimPort,
    lockStateDir: (stateDir) => lockStateDir(stateDir, systemProcesses),
    // There with `--expose-gc`, with which `bin/llmux.js` starts the gateway.
    collectGarbage: () => globalThis.gc?.({ type: "major", execution: "sync" }),
    resolveCommand: resolveStandIn,
  };
}
