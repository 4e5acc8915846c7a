/** From the start of the program to its first answered `/health`, and the memory it holds when nothing happens. */
import { setTimeout } from "node:timers/promises";
import { BenchGround, NO_TIME, type StartedProcess } from "./bench-ground.ts";
import { distributionOf, medianOf } from "./distribution.ts";
import { llmuxCommand, llmuxConfig, NO_PEER, peerConfig, peerProgram, ports, untilAnswers } from "./gateways.ts";
import { rssBytesOf } from "./process-figures.ts";
import type { Report } from "./report.ts";

const RUNS = 20;

/** Memory is looked at so long after the first answer. */
const IDLE_MS = 1_000;

interface Program {
  readonly name: string;
  readonly startAt: (ground: BenchGround, ports: Ports) => StartedProcess;
}

type Ports = Awaited<ReturnType<typeof ports>>;

const LLMUX: Program = {
  name: "llmux",
  startAt(ground, { gatewayPort, enginePorts }) {
    const config = JSON.stringify(llmuxConfig(ground, gatewayPort, enginePorts, 1));
    return ground.start("llmux", llmuxCommand(ground.write("llmux.json", config)));
  },
};

function peer(program: string): Program {
  return {
    name: "llmux 0.3.0",
    startAt(ground, { gatewayPort, enginePorts }) {
      const config = JSON.stringify(peerConfig(ground, gatewayPort, enginePorts, 1));
      return ground.start("peer", [program, "--config", ground.write("peer.json", config)]);
    },
  };
}

/** Starts each program again and again, in turns. */
export async function start(): Promise<Report> {
  const found = peerProgram();
  const programs = found === null ? [LLMUX] : [LLMUX, peer(found)];
  const measured = programs.map((program) => ({ program, startMs: [] as number[], rssBytes: [] as number[] }));
  await using ground = new BenchGround(NO_TIME);
  // The first start of each writes the caches that later ones read.
  for (const { program } of measured) await startOnce(ground, program);
  for (let run = 0; run < RUNS; run += 1) {
    for (const one of measured) {
      const { startMs, rssBytes } = await startOnce(ground, one.program);
      one.startMs.push(startMs);
      one.rssBytes.push(rssBytes);
    }
  }
  const rows = measured.map(({ program, startMs, rssBytes }) => {
    const { count, min, median, p90, max } = distributionOf(startMs);
    return [program.name, count, min, median, p90, max, medianOf(rssBytes) / 1024 ** 2];
  });
  const columns = ["", "starts", "min ms", "median ms", "p90 ms", "max ms", "idle RSS, MiB"];
  return {
    tables: [{ title: "start to the first answered /health", columns, rows }],
    checks: [],
    notes: found === null ? [NO_PEER] : ["0.3.0 has no /health of its own: any answer counts."],
  };
}

async function startOnce(ground: BenchGround, program: Program): Promise<{ startMs: number; rssBytes: number }> {
  const where = await ports();
  const origin = `http://127.0.0.1:${where.gatewayPort}`;
  const startedMs = performance.now();
  const started = program.startAt(ground, where);
  await untilAnswers(program.name, started, origin);
  const startMs = performance.now() - startedMs;
  await setTimeout(IDLE_MS);
  const rssBytes = rssBytesOf(started.pid);
  await started.end();
  return { startMs, rssBytes };
}
