/** The picture of a running llmux that operators see: `llmux ps`, and `GET /status` on the control socket. */
import { isGpuless } from "../config/placement-plan.ts";
import { redactText } from "../base/redact.ts";
import type { EngineState, EngineStateKind } from "../core/engine-state.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { ModelSnapshot, Snapshot } from "../core/snapshot.ts";
import type { Clock } from "../ports/clock.ts";
import type { EngineDirectory, StartProgress } from "../ports/engine-directory.ts";
import type { WaitPromise } from "./wait-promise.ts";

/** All of it, as JSON has it: durations in s, sizes in bytes, points in time in ISO 8601. */
export interface StatusDocument {
  readonly version: string;
  readonly pid: number;
  readonly started_at: string;
  readonly uptime_s: number;
  /** `switching` if there is any switch; `active` if any model is awake; `stopped` only in the moment before the end. */
  readonly state: "idle" | "active" | "switching" | "shutting down" | "stopped";
  /** The same in words, with names: `active qwen-14b`, `switching qwen-14b → llama-8b (draining)`. */
  readonly summary: string;
  readonly active: readonly ModelId[];
  readonly switches: readonly SwitchStatus[];
  /** The policy's name. */
  readonly policy: string;
  /** A request that has waited so long is refused. */
  readonly request_timeout_s: number;
  /** Why the policy promises no bound to some model; null when every model has one. */
  readonly no_bound_because: string | null;
  readonly gpus: readonly GpuStatus[];
  /** What models that sleep at level 1 may take of the host in all, null: not limited, and what they take. */
  readonly host_memory_for_sleep: { readonly budget_bytes: number | null; readonly used_bytes: number };
  readonly models: readonly ModelStatus[];
}

/** One GPU. */
export interface GpuStatus {
  readonly id: string;
  /** What engines may use of it; null: not known. */
  readonly memory_bytes: number | null;
  /** What those who are awake or asleep there take, as far as that is known. */
  readonly used_bytes: number;
}

/** One switch under way. */
export interface SwitchStatus {
  readonly from: readonly ModelId[];
  readonly to: ModelId;
  readonly phase: "draining" | "evicting" | "waking";
  readonly for_s: number;
}

/** One model. */
export interface ModelStatus {
  readonly id: ModelId;
  readonly state: EngineStateKind;
  /** The sleep level it is in, goes to or comes from; null in the other states. 3: it is drained to be stopped. */
  readonly level: 1 | 2 | 3 | null;
  /** Why it is stopping or failed. */
  readonly reason: string | null;
  /** In a failed state: when a request will be tried again; 0: with the next one. */
  readonly retry_in_s: number | null;
  readonly since: string;
  readonly for_s: number;
  readonly progress: StartProgress | null;
  readonly waiting: number;
  readonly oldest_wait_s: number | null;
  /** What the policy promises to a request that comes now, while nothing fails; null: nothing. */
  readonly wait_bound_s: number | null;
  /** The lesser of that and the request timeout: then it is let in, or refused. */
  readonly waits_at_most_s: number;
  readonly in_flight: number;
  /** How many of those in flight stand still, because their engine sleeps. */
  readonly suspended: number;
  readonly priority: Priority;
  readonly pinned: boolean;
  readonly memory: ModelMemory;
  readonly pid: number | null;
  readonly port: number | null;
  readonly process_started_at: string | null;
  readonly devices: readonly string[];
  readonly sleep_level: 1 | 2 | 3;
  readonly failures_in_row: number;
  readonly last_failure: FailureStatus | null;
  readonly log_file: string;
}

/** What a model takes, of each of its GPUs and of the host. */
export interface ModelMemory {
  /** While it is awake; null: not measured yet. */
  readonly need_bytes: number | null;
  /** What it leaves on a GPU while it sleeps. */
  readonly residue_bytes: number;
  /** Of the host while it sleeps at level 1; null: not measured yet. */
  readonly host_bytes: number | null;
}

/** What went wrong last. */
export interface FailureStatus {
  readonly code: string;
  readonly message: string;
  readonly last_output: readonly string[];
}

/** What the picture is made from. */
export interface StatusSources {
  readonly snapshot: () => Snapshot;
  readonly directory: EngineDirectory;
  readonly clock: Clock;
  readonly promise: WaitPromise;
  readonly version: string;
  readonly pid: number;
  readonly startedAtEpochMs: number;
}

/** Takes the picture now. */
export function takeStatus(sources: StatusSources): StatusDocument {
  const { clock, promise, version, pid, startedAtEpochMs } = sources;
  const snapshot = sources.snapshot();
  const now: Now = { nowMs: clock.nowMs(), epochMs: clock.epochMs() };
  const active = snapshot.models.filter(({ state }) => state.kind === "awake").map(({ id }) => id);
  const switches = snapshot.switches.map(({ from, to, phase, startedAtMs }) => ({
    from,
    to,
    phase,
    for_s: seconds(now.nowMs - startedAtMs),
  }));
  return {
    version,
    pid,
    started_at: new Date(startedAtEpochMs).toISOString(),
    uptime_s: seconds(now.epochMs - startedAtEpochMs),
    state: overallState(snapshot, active),
    summary: summaryOf(snapshot, active),
    active,
    switches,
    policy: promise.policy,
    request_timeout_s: seconds(promise.requestTimeoutMs),
    no_bound_because: snapshot.models.some(({ boundMs }) => boundMs === null) ? promise.noBoundBecause : null,
    gpus: snapshot.devices
      .filter(({ id }) => !isGpuless(id))
      .map(({ id, memoryBytes, usedBytes }) => {
        return { id, memory_bytes: memoryBytes, used_bytes: usedBytes };
      }),
    host_memory_for_sleep: {
      budget_bytes: snapshot.hostMemory.budgetBytes,
      used_bytes: snapshot.hostMemory.usedBytes,
    },
    models: snapshot.models.map((model) => modelStatus(model, sources, now)),
  };
}

interface Now {
  readonly nowMs: number;
  readonly epochMs: number;
}

function overallState({ phase, switches }: Snapshot, active: readonly ModelId[]): StatusDocument["state"] {
  if (phase === "finished") return "stopped";
  if (phase === "shutting down") return "shutting down";
  if (switches.length > 0) return "switching";
  return active.length > 0 ? "active" : "idle";
}

function summaryOf(snapshot: Snapshot, active: readonly ModelId[]): string {
  const { phase, switches, models } = snapshot;
  if (phase === "finished") return "stopped";
  if (phase === "shutting down") {
    const inFlight = models.reduce((sum, model) => sum + model.inFlight, 0);
    return inFlight === 0 ? "shutting down" : `shutting down, ${inFlight} in flight`;
  }
  const parts = [
    ...(active.length === 0 ? [] : [`active ${active.join(", ")}`]),
    ...switches.map(({ from, to, phase: step }) => {
      return `switching ${from.length === 0 ? "" : `${from.join(", ")} `}→ ${to} (${step})`;
    }),
  ];
  return parts.length === 0 ? "idle" : parts.join("; ");
}

function modelStatus(
  model: ModelSnapshot,
  { directory, promise }: Pick<StatusSources, "directory" | "promise">,
  { nowMs, epochMs }: Now,
): ModelStatus {
  const info = directory.info(model.id);
  const { state, lastFailure, boundMs, memory } = model;
  const forMs = nowMs - model.stateSinceMs;
  return {
    id: model.id,
    state: state.kind,
    level: levelOf(state),
    reason: reasonOf(state),
    retry_in_s: state.kind === "failed" ? seconds(state.retryAtMs - nowMs) : null,
    since: new Date(epochMs - forMs).toISOString(),
    for_s: seconds(forMs),
    progress: info.progress,
    waiting: model.waiting,
    oldest_wait_s: model.oldestEnqueuedAtMs === null ? null : seconds(nowMs - model.oldestEnqueuedAtMs),
    wait_bound_s: boundMs === null ? null : seconds(boundMs),
    waits_at_most_s: seconds(Math.min(promise.requestTimeoutMs, boundMs ?? Infinity)),
    in_flight: model.inFlight,
    suspended: model.suspended,
    priority: model.priority,
    pinned: model.pinned,
    memory: { need_bytes: memory.needBytes, residue_bytes: memory.residueBytes, host_bytes: memory.hostBytes },
    pid: info.pid,
    port: info.port,
    process_started_at: info.startedAtEpochMs === null ? null : new Date(info.startedAtEpochMs).toISOString(),
    devices: model.devices.filter((id) => !isGpuless(id)),
    sleep_level: model.sleepLevel,
    failures_in_row: model.failuresInRow,
    last_failure:
      lastFailure === null
        ? null
        : {
            code: lastFailure.code,
            message: redactText(lastFailure.message),
            last_output: (lastFailure.lastOutput ?? []).map(redactText),
          },
    log_file: info.logFile,
  };
}

/** The sleep level that a state is about; null: none. */
export function levelOf(state: EngineState): 1 | 2 | 3 | null {
  if (state.kind === "asleep") return state.level;
  if (state.kind === "draining" || state.kind === "falling asleep") return state.to;
  return state.kind === "waking" ? state.from : null;
}

function reasonOf(state: EngineState): string | null {
  if (state.kind === "failed") return redactText(state.failure.message);
  return state.kind === "stopping" && state.because !== null ? redactText(state.because.message) : null;
}

/** Seconds to the millisecond, never below 0: a snapshot may be a little ahead of what was read of the clock before. */
function seconds(ms: number): number {
  return Math.max(0, Math.round(ms) / 1000);
}
