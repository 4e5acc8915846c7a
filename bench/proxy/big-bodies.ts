/** How fast 100 MB pass, in each direction, and in how much memory. */
import { medianOf } from "../distribution.ts";
import { rssBytesOf } from "../process-figures.ts";
import type { Check, Table } from "../report.ts";
import { KEY, LLMUX, named, type Contender, type Field } from "./contenders.ts";
import { cpuTimeUs, forgetPeakMemory, peakMemoryBytes } from "./cpu-time.ts";
import { AWAKE_MODEL, BIG_BYTES, chatBody, requestBytes } from "./exchanges.ts";
import { Wire } from "./wire.ts";

const ROUNDS = 5;

/** Of nginx's rate. */
const RATE_MIN = 0.5;

/** What llmux may need more than at rest, in MB. */
const GROWTH_MAX_MB = 64;

interface Passage {
  readonly mbPerS: number;
  readonly cpuMs: number;
  readonly grownMb: number;
}

type Direction = "body" | "answer";

/** Large bodies and large answers through each proxy, in turns. */
export async function bigBodies(field: Field): Promise<{ table: Table; checks: Check[] }> {
  const rows: (readonly (string | number)[])[] = [];
  const checks: Check[] = [];
  for (const direction of ["body", "answer"] as const) {
    const passages = await measure(field, direction);
    const figure = (name: string, of: keyof Passage): number =>
      medianOf((passages.get(name) ?? []).map((one) => one[of]));
    for (const name of passages.keys()) {
      const worstMb = Math.max(...(passages.get(name) ?? []).map(({ grownMb }) => grownMb));
      rows.push([direction, name, figure(name, "mbPerS"), figure(name, "cpuMs"), worstMb]);
    }
    if (named(field, "nginx") !== null) {
      const measured = figure(LLMUX, "mbPerS") / figure("nginx", "mbPerS");
      checks.push({
        what: `100 MB ${direction}: llmux to nginx`,
        measured,
        bound: "at least",
        target: RATE_MIN,
        unit: "times",
      });
    }
    const grown = Math.max(...(passages.get(LLMUX) ?? []).map(({ grownMb }) => grownMb));
    checks.push({
      what: `100 MB ${direction}: memory`,
      measured: grown,
      bound: "at most",
      target: GROWTH_MAX_MB,
      unit: "MB",
    });
  }
  const columns = ["100 MB", "", "MB/s", "CPU ms", "peak beyond rest, MB"];
  return { table: { title: `large bodies and answers, medians of ${ROUNDS}`, columns, rows }, checks };
}

async function measure(field: Field, direction: Direction): Promise<ReadonlyMap<string, readonly Passage[]>> {
  const passages = new Map<string, Passage[]>();
  const request = requestFor(direction);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const contender of field.contenders) {
      const passage = await pass(contender, request);
      if (passage === null) continue;
      const soFar = passages.get(contender.name);
      if (soFar === undefined) passages.set(contender.name, [passage]);
      else soFar.push(passage);
    }
  }
  return passages;
}

function requestFor(direction: Direction): Buffer {
  if (direction === "answer") return requestBytes(KEY, "big", chatBody(AWAKE_MODEL, false));
  const content = "x".repeat(BIG_BYTES);
  return requestBytes(KEY, "nothing", JSON.stringify({ model: AWAKE_MODEL, messages: [{ role: "user", content }] }));
}

/** Null where it is refused: not everybody takes bodies of this size. */
async function pass({ port, pid, pids }: Contender, request: Buffer): Promise<Passage | null> {
  const wire = await Wire.open(port);
  try {
    const restBytes = pids.reduce((sum, one) => sum + rssBytesOf(one), 0);
    for (const one of pids) forgetPeakMemory(one);
    const cpuBefore = cpuTimeUs(pids);
    const beganAtMs = performance.now();
    const { status } = await wire.ask(request);
    const tookMs = performance.now() - beganAtMs;
    if (status !== 200) return null;
    const peakBytes = pids.reduce((sum, one) => sum + peakMemoryBytes(one), 0);
    const cpuMs = (cpuTimeUs(pids) - cpuBefore) / 1_000;
    return { mbPerS: BIG_BYTES / 1_000 / tookMs, cpuMs, grownMb: (peakBytes - restBytes) / 1_000_000 };
  } catch (error) {
    console.error(`process ${pid} did not pass 100 MB:`, error);
    return null;
  } finally {
    wire.close();
  }
}
