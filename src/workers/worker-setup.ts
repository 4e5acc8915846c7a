/** What a worker is given when it starts: plain data that can be cloned. */
import type { MessagePort } from "node:worker_threads";
import type { TlsIdentity } from "../base/tls-identity.ts";
import type { ApiKey } from "../gateway/doorkeeper.ts";
import type { EngineStates } from "../gateway/engine-states.ts";
import type { GatewayModel } from "../gateway/models.ts";
import type { GatewayLimits } from "../gateway/server.ts";
import type { SharedMemory } from "./shared-counts.ts";

/** The same for all workers, and for those that come later in the place of one that has died. */
export interface GatewaySetup {
  readonly models: readonly GatewayModel[];
  readonly apiKeys: readonly ApiKey[];
  readonly adminKeyHash: string | null;
  readonly bodyBytesMax: number;
  readonly spoolFolder: string;
  readonly limits: Partial<GatewayLimits>;
  /** So long after a surge of requests their memory is given back, in ms. */
  readonly tidyAfterMs: readonly number[];
}

/** All of it. */
export interface WorkerSetup extends GatewaySetup {
  /** Its number, from 0. */
  readonly worker: number;
  readonly memory: SharedMemory;
  /** When llmux began, in ms since 1970. */
  readonly startedAtEpochMs: number;
  /** Where the main thread's clock had its zero, in ms of the system's monotonic clock. */
  readonly clockZeroMs: number;
  readonly states: EngineStates;
  readonly tls: TlsIdentity | null;
}

/** As it reaches the thread. */
export interface WorkerData {
  readonly setup: WorkerSetup;
  /** The channel to the main thread. */
  readonly port: MessagePort;
}

/** Where a clock that counts from a zero of its own has it, in ms of the system's monotonic clock, which is the same for all threads. */
export function zeroOf(nowMs: number): number {
  return Number(process.hrtime.bigint()) / 1e6 - nowMs;
}
