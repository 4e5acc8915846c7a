/** What a stream that is open and a request that waits cost in memory, and whether it comes back. */
import { setTimeout } from "node:timers/promises";
import type { BenchGround } from "../bench-ground.ts";
import { rssBytesOf } from "../process-figures.ts";
import type { Check, Table } from "../report.ts";
import { KEY, LLMUX, named, startThisLlmux, type Contender, type Field } from "./contenders.ts";
import { AWAKE_MODEL, chatBody, requestBytes, SILENT_MODEL } from "./exchanges.ts";
import { Wire } from "./wire.ts";

const STREAMS = 2_000;
const STREAM_KB_MAX = 40;

const WAITING = 10_000;
const WAITING_KB_MAX = 10;

/** V8 gives free pages back 8 s after a collection. */
const AFTERWARDS_MS = 15_000;

/** Of the memory before, when all have gone for the second time. */
const AFTERWARDS_MAX = 1.25;

const AT_A_TIME = 50;
const WARM_UP_REQUESTS = 3_000;

/** Memory is read when it has not grown for this long. */
const STILL_MS = 3_000;
const LOOK_MS = 250;
const LOOKS_MAX = 120;

/** Open streams through each proxy that is there, and requests that wait in a llmux of their own. */
export async function memory(field: Field, ground: BenchGround): Promise<{ tables: Table[]; checks: Check[] }> {
  const streams: (readonly (string | number)[])[] = [];
  const checks: Check[] = [];
  for (const name of ["nginx", "haproxy", "llmux 0.3.0", "llama-swap"]) {
    const contender = named(field, name);
    if (contender === null) continue;
    const { kb } = await openStreams(contender);
    streams.push([name, kb, "", ""]);
  }
  const fresh = await startThisLlmux(ground);
  await warmUp(fresh);
  const { kb, before, after } = await openStreams(fresh);
  streams.push([LLMUX, kb, mb(before), mb(after)]);
  checks.push({ what: "an idle stream", measured: kb, bound: "at most", target: STREAM_KB_MAX, unit: "KB" });
  await fresh.end();
  const waiting = await startThisLlmux(ground);
  await warmUp(waiting);
  const rounds = [await openWaiting(waiting), await openWaiting(waiting)] as const;
  await waiting.end();
  const [first, second] = rounds;
  checks.push(
    { what: "a waiting request", measured: first.kb, bound: "at most", target: WAITING_KB_MAX, unit: "KB" },
    {
      what: "memory when all who waited have gone, to before",
      measured: second.after / first.before,
      bound: "at most",
      target: AFTERWARDS_MAX,
      unit: "times",
    },
  );
  return {
    tables: [
      {
        title: `${STREAMS} idle streams`,
        columns: ["", "KB each", "RSS before, MB", "after they have gone"],
        rows: streams,
      },
      {
        title: `${WAITING} requests that wait for a model that does not come up, and then hang up; twice`,
        columns: ["", "KB each", "RSS before, MB", "with them", "after they have gone"],
        rows: rounds.map((round, at) => [
          `${LLMUX}, ${at + 1}.`,
          round.kb,
          mb(round.before),
          mb(round.during),
          mb(round.after),
        ]),
      },
    ],
    checks,
  };
}

interface Cost {
  readonly kb: number;
  readonly before: number;
  readonly during: number;
  readonly after: number;
}

async function openStreams(contender: Contender): Promise<Cost> {
  const request = requestBytes(KEY, "idle", chatBody(AWAKE_MODEL, true));
  return costOf(
    contender,
    STREAMS,
    (wire) =>
      new Promise((resolve, reject) => {
        wire.ask(request, () => resolve()).catch(reject);
      }),
  );
}

async function openWaiting(contender: Contender): Promise<Cost> {
  const request = requestBytes(KEY, "nothing", chatBody(SILENT_MODEL, true));
  return costOf(contender, WAITING, (wire) => {
    // Whoever is answered was not left to wait.
    wire.ask(request).then(
      ({ status }) => console.error(`${contender.name} has answered ${status} to a request that should wait`),
      () => {},
    );
    return Promise.resolve();
  });
}

async function costOf(contender: Contender, count: number, begin: (wire: Wire) => Promise<void>): Promise<Cost> {
  const rss = (): number => contender.pids.reduce((sum, pid) => sum + rssBytesOf(pid), 0);
  const before = await settled(rss);
  const wires: Wire[] = [];
  while (wires.length < count) {
    const some = await Promise.all(Array.from({ length: AT_A_TIME }, () => Wire.open(contender.port)));
    wires.push(...some);
    await Promise.all(some.map(begin));
  }
  const during = await settled(rss);
  for (const wire of wires) wire.close();
  if (contender.name === LLMUX) await setTimeout(AFTERWARDS_MS);
  const after = await settled(rss);
  return { kb: (during - before) / count / 1_000, before, during, after };
}

async function warmUp({ port }: Contender): Promise<void> {
  const request = requestBytes(KEY, "json", chatBody(AWAKE_MODEL, false));
  const wires = await Promise.all(Array.from({ length: AT_A_TIME }, () => Wire.open(port)));
  const work = async (wire: Wire): Promise<void> => {
    for (let left = WARM_UP_REQUESTS / AT_A_TIME; left > 0; left -= 1) await wire.ask(request);
  };
  await Promise.all(wires.map(work));
  for (const wire of wires) wire.close();
}

/** The figure when it has stopped moving by more than 1 %, or after half a minute. */
async function settled(look: () => number): Promise<number> {
  let still = look();
  let stillMs = 0;
  for (let looks = 0; looks < LOOKS_MAX && stillMs < STILL_MS; looks += 1) {
    await setTimeout(LOOK_MS);
    const now = look();
    stillMs += LOOK_MS;
    if (Math.abs(now - still) <= still * 0.01) continue;
    still = now;
    stillMs = 0;
  }
  return look();
}

function mb(bytes: number): number {
  return Math.round(bytes / 100_000) / 10;
}
