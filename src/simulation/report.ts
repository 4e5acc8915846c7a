/** The figures of a run: what a policy is judged by. */
import type { RequestOutcome, Run } from "./run.ts";

/** Figures of a set of values in s; null where there are none. */
export interface Spread {
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/** What became of requests. Keys as in the JSON that people's scripts read. */
export interface RequestFigures {
  /** All arrivals, whatever became of them. */
  readonly requests: number;
  /** The share of all arrivals whose first token came within the SLO, from 0 to 1. */
  readonly goodput: number;
  /** From arrival to first token, over those that got one. */
  readonly ttft_s: Spread;
  /** From arrival to last token, over those that were served. */
  readonly e2e_s: Pick<Spread, "p50" | "p99">;
  readonly refused: number;
  readonly aborted: number;
  readonly unfinished: number;
}

/** Those of one model. */
export interface ModelFigures extends RequestFigures {
  /** How often it was brought awake. */
  readonly switches: number;
  /** The share of the time in which it was awake, draining included. */
  readonly awake_share: number;
}

/** Those of a run. */
export interface Report extends RequestFigures {
  readonly policy: string;
  readonly slo_s: number;
  readonly duration_s: number;
  readonly switches: number;
  /** The share of all devices' time in which one engine fell asleep or another woke. */
  readonly switch_share: number;
  /** The share of all devices' time in which an engine was drained. */
  readonly drain_share: number;
  /** What the policy promises that no wait for an engine exceeds; null when it promises nothing. */
  readonly bound_s: number | null;
  readonly models: Readonly<Record<string, ModelFigures>>;
}

/** What a run was, besides its outcome. */
export interface Setting {
  readonly policy: string;
  readonly sloMs: number;
  /** The devices of each model that is configured. */
  readonly devices: ReadonlyMap<string, readonly string[]>;
}

/** Counts a run up. Models that nobody asked for are left out. */
export function reportOf(run: Run, setting: Setting): Report {
  const byModel = Map.groupBy(run.requests, ({ arrival }) => arrival.model);
  const { switches: all, durationMs } = run;
  const devices = new Set([...setting.devices.values()].flat()).size;
  /** Of a switch: how many devices it kept busy. */
  const width = (models: readonly string[]): number =>
    new Set(models.flatMap((id) => setting.devices.get(id) ?? [])).size;
  let drainMs = 0;
  let changeMs = 0;
  const ended = new Map<string, number>();
  for (const change of all) {
    drainMs += change.drainMs * width(change.from);
    changeMs += change.changeMs * width([...change.from, change.to]);
    if (change.outcome === "ended") ended.set(change.to, (ended.get(change.to) ?? 0) + 1);
  }
  const models = Array.from(byModel, ([model, requests]): readonly [string, ModelFigures] => {
    const awakeMs = run.states.reduce((sum, { model: whose, state, fromMs, toMs }) => {
      return whose === model && (state === "awake" || state === "draining") ? sum + toMs - fromMs : sum;
    }, 0);
    const figures = figuresOf(requests, setting.sloMs);
    return [model, { ...figures, switches: ended.get(model) ?? 0, awake_share: share(awakeMs, durationMs) }];
  });
  return {
    policy: setting.policy,
    slo_s: inSeconds(setting.sloMs),
    ...figuresOf(run.requests, setting.sloMs),
    duration_s: inSeconds(durationMs),
    switches: [...ended.values()].reduce((sum, count) => sum + count, 0),
    switch_share: share(changeMs, durationMs * devices),
    drain_share: share(drainMs, durationMs * devices),
    bound_s: run.boundMs === null ? null : inSeconds(run.boundMs),
    models: Object.fromEntries(models),
  };
}

function figuresOf(requests: readonly RequestOutcome[], sloMs: number): RequestFigures {
  const firstMs: number[] = [];
  const wholeMs: number[] = [];
  const missed = { refused: 0, aborted: 0, unfinished: 0 };
  let inTime = 0;
  for (const { arrival, firstTokenAtMs, overAtMs, result } of requests) {
    if (firstTokenAtMs !== null) {
      const waitedMs = firstTokenAtMs - arrival.atMs;
      firstMs.push(waitedMs);
      if (waitedMs <= sloMs) inTime += 1;
    }
    if (result !== "served") missed[result] += 1;
    else if (overAtMs !== null) wholeMs.push(overAtMs - arrival.atMs);
  }
  const { p50, p99 } = spreadOf(wholeMs);
  return {
    requests: requests.length,
    goodput: share(inTime, requests.length),
    ttft_s: spreadOf(firstMs),
    e2e_s: { p50, p99 },
    ...missed,
  };
}

/** The spread of times in ms, in s. A percentile is the smallest value that so many per cent of all do not exceed. */
export function spreadOf(valuesMs: readonly number[]): Spread {
  const sorted = Float64Array.from(valuesMs).sort();
  const at = (rank: number): number | null => {
    const value = sorted[Math.max(0, Math.ceil(rank * sorted.length) - 1)];
    return value === undefined ? null : inSeconds(value);
  };
  const mean = sorted.length === 0 ? null : inSeconds(sorted.reduce((sum, value) => sum + value, 0) / sorted.length);
  return { mean, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

/** To four digits after the point. */
function share(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 10_000;
}

/** To the millisecond. */
function inSeconds(ms: number): number {
  return Math.round(ms) / 1000;
}
