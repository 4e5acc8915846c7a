/** How long a switch takes beyond what the engines need: every switch with a drain, at levels 1 and 2. */
import { setTimeout } from "node:timers/promises";
import { BenchGround, NO_TIME } from "./bench-ground.ts";
import { ask, type Answer, type Question } from "./chat.ts";
import { distributionOf, medianOf } from "./distribution.ts";
import {
  askOnce,
  endGateway,
  eventsOf,
  forgetEvents,
  MODELS,
  otherThan,
  startLlmux,
  warmUp,
  type BenchModel,
  type Gateway,
} from "./gateways.ts";
import type { Check, Report, Table } from "./report.ts";
import { switchTimelines, type SwitchTimeline } from "./switch-timeline.ts";

/** The engines remember 1,000 events of a kind, and a switch has several of some kinds: so they are read after each round. */
const SWITCHES_A_ROUND = 100;

/** Long enough for the other model's request to be in the queue when an answer ends. */
const ANSWERING = { ttftMs: 2, itlMs: 3, answerTokens: 6 } as const;

/** After so long without use no connection to an engine is left open. */
const QUIET_MS = 4_500;

interface Case {
  readonly level: 1 | 2;
  /** What each of sleep, wake and reload takes the engine. */
  readonly stepMs: number;
  readonly switches: number;
  /** How long nothing happens before each switch. */
  readonly quietMs: number;
}

const CASES: readonly Case[] = [
  { level: 1, stepMs: 0, switches: 300, quietMs: 0 },
  { level: 1, stepMs: 50, switches: 200, quietMs: 0 },
  { level: 2, stepMs: 0, switches: 300, quietMs: 0 },
  { level: 2, stepMs: 50, switches: 200, quietMs: 0 },
  { level: 1, stepMs: 0, switches: 12, quietMs: QUIET_MS },
  { level: 2, stepMs: 0, switches: 12, quietMs: QUIET_MS },
];

/** Runs all cases, one after the other. */
export async function switchOverhead(): Promise<Report> {
  const rows: (readonly (string | number)[])[] = [];
  const checks: Check[] = [];
  const splits: Table[] = [];
  for (const one of CASES) {
    const timelines = await measure(one);
    const { count, median, p90, p99, max } = distributionOf(timelines.map(({ overheadMs }) => overheadMs));
    const engine = medianOf(timelines.map((timeline) => timeline.engineMs));
    rows.push([one.level, one.stepMs, one.quietMs, count, engine, median, p90, p99, max]);
    const what = `level ${one.level}, steps of ${one.stepMs} ms${one.quietMs > 0 ? ", after quiet" : ""}`;
    if (one.quietMs === 0) {
      checks.push({ what: `${what}: median`, measured: median, bound: "at most", target: 5, unit: "ms" });
      checks.push({ what: `${what}: p99`, measured: p99, bound: "at most", target: 20, unit: "ms" });
    }
    splits.push(splitTable(`where it goes: ${what}`, timelines));
  }
  const columns = ["level", "step", "quiet", "switches", "engines' own", "overhead: median", "p90", "p99", "max"];
  return {
    tables: [{ title: "switch overhead, in ms", columns, rows }, ...splits],
    checks,
    notes: [
      "From the old engine's last byte to the new engine's receipt of its first request, less the engines' own time for",
      "sleep, wake and reload (their median in the fifth column). The cases after quiet have too few switches for a target.",
    ],
  };
}

async function measure({ level, stepMs, switches, quietMs }: Case): Promise<SwitchTimeline[]> {
  const pace = { ...NO_TIME, ...ANSWERING, sleepMs: stepMs, wakeMs: stepMs, reloadMs: stepMs };
  await using ground = new BenchGround(pace);
  const gateway = await startLlmux(ground, level);
  await warmUp(gateway);
  const timelines: SwitchTimeline[] = [];
  while (timelines.length < switches) {
    await forgetEvents(gateway);
    const answers =
      quietMs > 0
        ? await alternateQuietly(gateway, switches, quietMs)
        : await alternate(gateway, Math.min(switches, SWITCHES_A_ROUND));
    timelines.push(...switchTimelines(answers, await eventsOf(gateway)));
  }
  await endGateway(gateway);
  return timelines;
}

/** Each request is sent when the one before, for the other model, begins to answer: so every switch has to drain. */
async function alternate(gateway: Gateway, switches: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  let model: BenchModel = MODELS[0];
  let current: Question = ask(gateway.dispatcher, gateway.origin, model, true);
  for (let done = 0; done < switches; done += 1) {
    await current.begun;
    model = otherThan(model);
    const next = ask(gateway.dispatcher, gateway.origin, model, true);
    answers.push(await current.answered);
    current = next;
  }
  answers.push(await current.answered);
  return answers;
}

/** The same with a pause before each switch: first the model that is awake is asked, and then, while it answers, the other. */
async function alternateQuietly(gateway: Gateway, switches: number, quietMs: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  let model: BenchModel = MODELS[0];
  answers.push(await askOnce(gateway, model));
  for (let done = 0; done < switches; done += 1) {
    await setTimeout(quietMs);
    const current = ask(gateway.dispatcher, gateway.origin, model, true);
    await current.begun;
    model = otherThan(model);
    const next = ask(gateway.dispatcher, gateway.origin, model, true);
    answers.push(await current.answered, await next.answered);
  }
  return answers;
}

/** The median of each gap, by its place in the switch. */
function splitTable(title: string, timelines: readonly SwitchTimeline[]): Table {
  const names = timelines[0]?.gaps.map(({ name }) => name) ?? [];
  const rows = names.map((name, at) => {
    const { median, p99 } = distributionOf(timelines.map(({ gaps }) => gaps[at]?.ms ?? 0));
    return [name, median, p99];
  });
  return { title, columns: ["gap", "median ms", "p99 ms"], rows };
}
