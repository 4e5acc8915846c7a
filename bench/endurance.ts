/** Two thousand switches with eight clients: nothing may be lost, and nothing may grow. */
import { BenchGround, NO_TIME } from "./bench-ground.ts";
import { ask, type Answer } from "./chat.ts";
import { medianOf } from "./distribution.ts";
import { endGateway, MODELS, otherThan, startLlmux, warmUp, type BenchModel, type Gateway } from "./gateways.ts";
import { lookAt, type ProcessFigures } from "./process-figures.ts";
import type { Check, Report } from "./report.ts";

const CLIENTS = 8;
const SWITCHES = 2_000;

/** A look reads all of /proc, which takes time. */
const SWITCHES_A_LOOK = 10;

/** The figures at a switch are the medians of the looks at so many switches before and after it. */
const SWITCHES_AROUND = 50;
const EARLY_SWITCH = 200;
const LATE_SWITCH = SWITCHES - SWITCHES_AROUND;

interface Look extends ProcessFigures {
  readonly switches: number;
}

/** Runs until the last switch. */
export async function endurance(): Promise<Report> {
  await using ground = new BenchGround(NO_TIME);
  const gateway = await startLlmux(ground, 1);
  await warmUp(gateway);
  const run = await takeTurns(gateway);
  await endGateway(gateway);
  const early = figuresAround(run.looks, EARLY_SWITCH);
  const late = figuresAround(run.looks, LATE_SWITCH);
  const mebibytes = 1024 ** 2;
  return {
    tables: [
      {
        title: `${run.answered} requests, ${run.lost.length} lost, ${run.switches} switches in ${run.seconds.toFixed(0)} s`,
        columns: ["llmux process", `at switch ${EARLY_SWITCH}`, `at switch ${LATE_SWITCH}`, "ratio"],
        rows: [
          ["RSS, MiB", early.rssBytes / mebibytes, late.rssBytes / mebibytes, late.rssBytes / early.rssBytes],
          [
            "file descriptors",
            early.fileDescriptors,
            late.fileDescriptors,
            late.fileDescriptors / early.fileDescriptors,
          ],
          ["processes, engines included", early.processes, late.processes, late.processes / early.processes],
        ],
      },
    ],
    checks: checks(run, early, late),
    notes: run.lost.slice(0, 5),
  };
}

function checks(run: Run, early: ProcessFigures, late: ProcessFigures): Check[] {
  return [
    { what: "requests lost", measured: run.lost.length, bound: "at most", target: 0, unit: "" },
    { what: "switches", measured: run.switches, bound: "at least", target: SWITCHES, unit: "" },
    { what: "RSS, times", measured: late.rssBytes / early.rssBytes, bound: "at most", target: 1.1, unit: "" },
    growth("file descriptors", early.fileDescriptors, late.fileDescriptors),
    growth("processes", early.processes, late.processes),
  ];
}

function growth(what: string, early: number, late: number): Check {
  return { what: `${what} more`, measured: late - early, bound: "at most", target: 0, unit: "" };
}

interface Run {
  readonly answered: number;
  /** Why, for each request that got no answer or the wrong one. */
  readonly lost: readonly string[];
  readonly switches: number;
  readonly seconds: number;
  readonly looks: readonly Look[];
}

/**
 * Every client asks one model and then the other, half of them the one first and half the other. Whenever the model that
 * answers changes, a switch has happened: an engine that is awake alone can answer.
 */
async function takeTurns(gateway: Gateway): Promise<Run> {
  const startedMs = performance.now();
  const lost: string[] = [];
  const looks: Look[] = [];
  let answered = 0;
  let switches = 0;
  let last: BenchModel | null = null;
  const client = async (first: BenchModel): Promise<void> => {
    for (let model = first; switches < SWITCHES; model = otherThan(model)) {
      try {
        const answer = await ask(gateway.dispatcher, gateway.origin, model, answered % 2 === 0).answered;
        answered += 1;
        if (!isBy(model, answer)) lost.push(`${model}: ${answer.body.slice(0, 200)}`);
      } catch (error) {
        lost.push(String(error));
      }
      if (model === last) continue;
      last = model;
      switches += 1;
      if (switches % SWITCHES_A_LOOK === 0) looks.push({ switches, ...lookAt(gateway.process.pid) });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, at) => client(MODELS[at % 2 === 0 ? 0 : 1])));
  return { answered, lost, switches, seconds: (performance.now() - startedMs) / 1000, looks };
}

/** The stand-in says its name in the answer's text and in its field `model`. */
function isBy(model: BenchModel, answer: Answer): boolean {
  return answer.body.includes(`"model":"${model}"`) && !answer.body.includes(otherThan(model));
}

function figuresAround(looks: readonly Look[], at: number): ProcessFigures {
  const near = looks.filter(({ switches }) => Math.abs(switches - at) <= SWITCHES_AROUND);
  return {
    rssBytes: medianOf(near.map(({ rssBytes }) => rssBytes)),
    fileDescriptors: medianOf(near.map(({ fileDescriptors }) => fileDescriptors)),
    processes: medianOf(near.map(({ processes }) => processes)),
  };
}
