/** What stands in the ledger: devices, holdings, and the audit of their changes. */
import type { ProcessIdentity } from "./process-identity.ts";

/** A GPU by its index, or the machine's host memory. */
export type Device = number | "host";

/** How much one process holds on one device. */
export interface Holding extends ProcessIdentity {
  readonly device: Device;
  readonly bytes: number;
  readonly name: string;
}

/** One device as it stands. `totalBytes` of host memory is Infinity when it has no limit. */
export interface DeviceState {
  readonly device: Device;
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly highWaterBytes: number;
  /** How often a process asked for more than there was. */
  readonly refusals: number;
}

/** The whole ledger at one moment. */
export interface LedgerSnapshot {
  readonly devices: readonly DeviceState[];
  readonly holdings: readonly Holding[];
}

/** One change of a holding, or one refusal, in the order they happened. */
export interface AuditLine {
  readonly atMs: number;
  readonly pid: number;
  readonly device: Device;
  readonly event: "held" | "refused" | "process gone";
  readonly beforeBytes: number;
  readonly afterBytes: number;
  readonly usedBytes: number;
}
