/** Why things are as they are: `llmux explain`, and `GET /explain` on the control socket. */
import { redactText } from "../base/redact.ts";
import type { EngineStateKind } from "../core/engine-state.ts";
import type { ModelId } from "../core/model.ts";
import type { Verdict } from "../core/policy.ts";
import type { ModelSnapshot, Snapshot, SwitchSnapshot } from "../core/snapshot.ts";
import type { Clock } from "../ports/clock.ts";
import type { ModelStories } from "./model-stories.ts";
import type { RecordedSwitch, SwitchHistory } from "./switch-history.ts";
import { levelOf } from "./status.ts";
import type { WaitPromise } from "./wait-promise.ts";
import { whatKeeps, whyThere } from "./why.ts";

/** All of it, as JSON has it: durations in s, points in time in ISO 8601. */
export interface ExplanationDocument {
  readonly at: string;
  /** The policy's name. */
  readonly policy: string;
  /** A request that has waited so long is refused. */
  readonly request_timeout_s: number;
  /** Every model that is not awake and for which requests wait: first those on their way, then in the policy's order. */
  readonly waiting: readonly ModelId[];
  /** All models, or the one that was asked about. */
  readonly models: readonly ModelExplanation[];
  /** The last switches, or those that concern the model that was asked about; the newest last. */
  readonly switches: readonly SwitchExplanation[];
}

/** One model. */
export interface ModelExplanation {
  readonly id: ModelId;
  readonly state: EngineStateKind;
  /** The sleep level it is in, goes to or comes from; null in the other states. 3: it is drained to be stopped. */
  readonly level: 1 | 2 | 3 | null;
  readonly since: string;
  readonly for_s: number;
  readonly in_flight: number;
  /** How many of those in flight stand still, because their engine sleeps. */
  readonly suspended: number;
  readonly waiting: number;
  readonly oldest_wait_s: number | null;
  /** What the policy promises to a request that comes now, while nothing fails; null: nothing. */
  readonly wait_bound_s: number | null;
  /** What led to the state that it is in. */
  readonly why: string;
  /** What the policy weighs for it; null unless it wants to be switched to. */
  readonly weighed: string | null;
  /** What those who wait for it wait for; null: nobody waits, or nothing keeps them and it comes next. */
  readonly kept_by: string | null;
}

/** How one model looked to the policy. */
export interface VerdictStatus {
  readonly model: ModelId;
  readonly weighed: string;
  /** What spoke against it; null: nothing did. */
  readonly kept_by: string | null;
}

/** One switch. */
export interface SwitchExplanation {
  readonly started_at: string;
  readonly ago_s: number;
  readonly from: readonly ModelId[];
  readonly to: ModelId;
  /** The model for which it began, where another one was worth more after the drain; else null. */
  readonly redirected_from: ModelId | null;
  readonly because: string;
  /** The candidates, the best first; ten at most. */
  readonly compared: readonly VerdictStatus[];
  readonly outcome: "under way" | "done" | "failed" | "cancelled";
  /** Why it failed or was cancelled; else null. */
  readonly reason: string | null;
  readonly drain_s: number | null;
  /** So far, if it is under way. */
  readonly duration_s: number;
  readonly suspended: readonly { readonly model: ModelId; readonly requests: number }[];
  /** Whom it made leave besides, since the wake found too little memory; null: that has not happened. */
  readonly retried: { readonly evicting: ModelId; readonly reason: string } | null;
}

/** What the explanation is made from. */
export interface ExplanationSources {
  readonly snapshot: () => Snapshot;
  /** How the policy sees those that wait, at this moment. */
  readonly verdicts: (nowMs: number) => readonly Verdict[];
  readonly history: SwitchHistory;
  readonly stories: ModelStories;
  readonly clock: Clock;
  readonly promise: WaitPromise;
}

/** What was asked for. */
export interface ExplanationQuery {
  /** Only what concerns this model; null: everything. */
  readonly model: ModelId | null;
  /** How many switches at most; ≥ 0. */
  readonly last: number;
}

/** Explains what is the case now. */
export function takeExplanation(sources: ExplanationSources, query: ExplanationQuery): ExplanationDocument {
  const { clock, promise, history, stories } = sources;
  const nowMs = clock.nowMs();
  const epochMs = clock.epochMs();
  const snapshot = sources.snapshot();
  const verdicts = sources.verdicts(nowMs);
  const at = (ms: number): string => new Date(epochMs - (nowMs - ms)).toISOString();
  const models = snapshot.models.filter(({ id }) => query.model === null || id === query.model);
  const switches = history.all.filter((change) => query.model === null || concerns(change, query.model));
  return {
    at: at(nowMs),
    policy: promise.policy,
    request_timeout_s: seconds(promise.requestTimeoutMs),
    waiting: waitingInOrder(snapshot, verdicts),
    models: models.map((model) => {
      const verdict = verdicts.find((one) => one.model === model.id) ?? null;
      const change = snapshot.switches.find(({ to }) => to === model.id) ?? null;
      const { state, stateSinceMs, oldestEnqueuedAtMs, boundMs } = model;
      return {
        id: model.id,
        state: state.kind,
        level: levelOf(state),
        since: at(stateSinceMs),
        for_s: seconds(nowMs - stateSinceMs),
        in_flight: model.inFlight,
        suspended: model.suspended,
        waiting: model.waiting,
        oldest_wait_s: oldestEnqueuedAtMs === null ? null : seconds(nowMs - oldestEnqueuedAtMs),
        wait_bound_s: boundMs === null ? null : seconds(boundMs),
        why: redactText(whyThere(model, stories.of(model.id))),
        weighed: verdict?.weighed ?? null,
        kept_by: isWanted(model) ? (verdict?.keptBy ?? whatKeeps(model, change, snapshot)) : null,
      };
    }),
    switches: switches.slice(Math.max(0, switches.length - query.last)).map((change) => {
      return switchExplanation(change, nowMs, at(change.atMs));
    }),
  };
}

/** Everything that has to do with the model, comparisons that it lost included. */
function concerns({ from, to, before, compared, retried }: RecordedSwitch, model: ModelId): boolean {
  const named = [...from, to, before, retried?.evicting, ...compared.map((verdict) => verdict.model)];
  return named.includes(model);
}

function waitingInOrder({ models, switches }: Snapshot, verdicts: readonly Verdict[]): readonly ModelId[] {
  const wanted = new Set(models.filter((model) => model.state.kind !== "awake" && isWanted(model)).map(({ id }) => id));
  const coming = switches.map(({ to }: SwitchSnapshot) => to);
  const inOrder = new Set([...coming, ...verdicts.map(({ model }) => model), ...wanted]);
  return [...inOrder].filter((id) => wanted.has(id));
}

/** Somebody waits for it, or stands still on it. */
function isWanted({ waiting, suspended }: ModelSnapshot): boolean {
  return waiting > 0 || suspended > 0;
}

function switchExplanation(change: RecordedSwitch, nowMs: number, startedAt: string): SwitchExplanation {
  const { atMs, from, to, before, because, compared, drainMs, suspended, retried, end } = change;
  return {
    started_at: startedAt,
    ago_s: seconds(nowMs - atMs),
    from,
    to,
    redirected_from: before,
    because,
    compared: compared.map(({ model, weighed, keptBy }) => ({ model, weighed, kept_by: keptBy })),
    outcome: end?.kind ?? "under way",
    reason: end === null || end.kind === "done" ? null : redactText(end.message),
    drain_s: drainMs === null ? null : seconds(drainMs),
    duration_s: seconds((end?.atMs ?? nowMs) - atMs),
    suspended,
    retried: retried === null ? null : { evicting: retried.evicting, reason: redactText(retried.message) },
  };
}

/** Seconds to the millisecond, never below 0. */
function seconds(ms: number): number {
  return Math.max(0, Math.round(ms) / 1000);
}
