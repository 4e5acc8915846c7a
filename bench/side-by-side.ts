/** This llmux and llmux 0.3.0, on the same stand-in engines, with the same load, in turns within one run. */
import { setTimeout } from "node:timers/promises";
import { BenchGround, NO_TIME, type Pace } from "./bench-ground.ts";
import type { Answer } from "./chat.ts";
import { startCold, startPlan, type ColdStart } from "./cold-start.ts";
import { distributionOf } from "./distribution.ts";
import {
  askOnce,
  endGateway,
  eventsOf,
  forgetEvents,
  MODELS,
  NO_PEER,
  peerProgram,
  startLlmux,
  startPeer,
  warmUp,
  type BenchModel,
  type Gateway,
} from "./gateways.ts";
import type { Report, Table } from "./report.ts";
import { switchTimelines } from "./switch-timeline.ts";

/** Rounds of switches, each gateway in turn, and the switches of one round. */
const ROUNDS = 20;
const SWITCHES_A_ROUND = 10;

const STARTS = 24;

/** Two clients at once, one for each model, and so many requests of each, in the time that is enough a hundred times over. */
const OVERLAPPING = 10;
const OVERLAPPING_LIMIT_MS = 20_000;
const OVERLAPPING_PACE = { ...NO_TIME, ttftMs: 15 };

/** Runs all comparisons. */
export async function sideBySide(): Promise<Report> {
  const program = peerProgram();
  if (program === null) return { tables: [], checks: [], notes: [NO_PEER] };
  return {
    tables: [
      comparison("switch overhead at level 1, in ms", await compareSwitches(program)),
      comparison("cold start: from listening to the first request, in ms", await compareColdStarts(program)),
      await compareOverlapping(program),
    ],
    checks: [],
    notes: [
      "In the first two tables requests come one after the other: 0.3.0 does not come through a switch that has to wait for a",
      "running request, as the last table shows. The client's way from one answer to the next request is not counted there;",
      "its way to the gateway is.",
      "0.3.0 does not look whether a sleep freed memory, nor whether a wake has woken the engine; this llmux does both.",
    ],
  };
}

type Measured = readonly { readonly name: string; readonly overheadMs: readonly number[] }[];

async function compareSwitches(program: string): Promise<Measured> {
  const { ours, theirs, grounds } = await startBoth(program, 1);
  await using _first = grounds[0];
  await using _second = grounds[1];
  const sides = [ours, theirs].map((gateway) => ({ gateway, overheadMs: [] as number[] }));
  for (const { gateway } of sides) await warmUp(gateway);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { gateway, overheadMs } of sides) {
      await forgetEvents(gateway);
      const answers: Answer[] = [];
      for (let at = 0; at <= SWITCHES_A_ROUND; at += 1) {
        answers.push(await askOnce(gateway, MODELS[at % 2 === 0 ? 0 : 1]));
      }
      overheadMs.push(...switchTimelines(answers, await eventsOf(gateway)).map((timeline) => timeline.overheadMs));
    }
  }
  for (const { gateway } of sides) await endGateway(gateway);
  return sides.map(({ gateway, overheadMs }) => ({ name: gateway.name, overheadMs }));
}

async function compareColdStarts(program: string): Promise<Measured> {
  const { ours, theirs, grounds } = await startBoth(program, 3);
  await using _first = grounds[0];
  await using _second = grounds[1];
  const sides = [
    { gateway: ours, ground: grounds[0], starts: [] as ColdStart[] },
    { gateway: theirs, ground: grounds[1], starts: [] as ColdStart[] },
  ];
  for (const { model, loadMs } of startPlan(STARTS)) {
    for (const { gateway, ground, starts } of sides) starts.push(await startCold(ground, gateway, model, loadMs));
  }
  for (const { gateway } of sides) await endGateway(gateway);
  return sides.map(({ gateway, starts }) => ({
    name: gateway.name,
    overheadMs: starts.map(({ noticedMs, servedMs }) => noticedMs + servedMs),
  }));
}

/** Requests for the two models that overlap, so that a switch has to wait for running ones. */
async function compareOverlapping(program: string): Promise<Table> {
  const { ours, theirs, grounds } = await startBoth(program, 1, OVERLAPPING_PACE);
  await using _first = grounds[0];
  await using _second = grounds[1];
  const rows: (readonly (string | number)[])[] = [];
  for (const gateway of [ours, theirs]) {
    await warmUp(gateway);
    const startedMs = performance.now();
    let answered = 0;
    const client = async (model: BenchModel): Promise<void> => {
      for (let sent = 0; sent < OVERLAPPING; sent += 1) {
        await askOnce(gateway, model);
        answered += 1;
      }
    };
    const clients = Promise.allSettled(MODELS.map(client));
    const limit = new AbortController();
    await Promise.race([clients, setTimeout(OVERLAPPING_LIMIT_MS, null, { signal: limit.signal })]);
    limit.abort();
    rows.push([gateway.name, OVERLAPPING * MODELS.length, answered, (performance.now() - startedMs) / 1000]);
    await gateway.dispatcher.destroy();
    await gateway.process.end();
  }
  const title = `two clients at once, one for each model, for at most ${OVERLAPPING_LIMIT_MS / 1000} s`;
  return { title, columns: ["", "requests", "answered", "after s"], rows };
}

/** Each on a pretend machine of its own. */
async function startBoth(
  program: string,
  level: 1 | 3,
  pace: Pace = NO_TIME,
): Promise<{
  readonly ours: Gateway;
  readonly theirs: Gateway;
  readonly grounds: readonly [BenchGround, BenchGround];
}> {
  const grounds = [new BenchGround(pace), new BenchGround(pace)] as const;
  try {
    const ours = await startLlmux(grounds[0], level);
    return { ours, theirs: await startPeer(grounds[1], program, level), grounds };
  } catch (error) {
    for (const ground of grounds) await ground[Symbol.asyncDispose]();
    throw error;
  }
}

function comparison(title: string, measured: Measured): Table {
  const distributions = measured.map(({ name, overheadMs }) => ({ name, ...distributionOf(overheadMs) }));
  const ourMedian = distributions[0]?.median ?? Number.NaN;
  const rows = distributions.map(({ name, count, min, median, p90, p99, max }) => {
    return [name, count, min, median, p90, p99, max, median / ourMedian];
  });
  return { title, columns: ["", "count", "min", "median", "p90", "p99", "max", "median, times ours"], rows };
}
