/** How long after an engine could first have answered `/health` its first request arrives: what waiting for it costs. */
import { BenchGround, NO_TIME } from "./bench-ground.ts";
import { distributionOf } from "./distribution.ts";
import { CHAT_PATH, readEngineEvents } from "./engine-events.ts";
import { askOnce, endGateway, MODELS, startLlmux, type BenchModel, type Gateway } from "./gateways.ts";
import type { Report } from "./report.ts";

const STARTS = 40;

/** A start takes this much longer at most, so that its end falls anywhere between two looks of a gateway. In ms. */
const LOAD_SPREAD_MS = 500;

/** One start. */
export interface ColdStart {
  /** From the engine's first moment of listening to its first answer to `/health`, in ms. */
  readonly noticedMs: number;
  /** From there to the first request, in ms. */
  readonly servedMs: number;
}

/** Runs the starts of this llmux alone. */
export async function coldStart(): Promise<Report> {
  await using ground = new BenchGround(NO_TIME);
  const gateway = await startLlmux(ground, 3);
  const starts: ColdStart[] = [];
  for (const { model, loadMs } of startPlan(STARTS)) starts.push(await startCold(ground, gateway, model, loadMs));
  await endGateway(gateway);
  const overhead = distributionOf(starts.map(({ noticedMs, servedMs }) => noticedMs + servedMs));
  const parts = [
    ["listening → first answer to /health", starts.map(({ noticedMs }) => noticedMs)],
    ["first answer to /health → first request", starts.map(({ servedMs }) => servedMs)],
    ["both", starts.map(({ noticedMs, servedMs }) => noticedMs + servedMs)],
  ] as const;
  const rows = parts.map(([name, values]) => {
    const { count, min, median, p90, max } = distributionOf(values);
    return [name, count, min, median, p90, max];
  });
  const columns = ["part", "starts", "min", "median", "p90", "max"];
  return {
    tables: [{ title: "cold start: overhead in ms", columns, rows }],
    checks: [
      { what: "cold start: median", measured: overhead.median, bound: "at most", target: 60, unit: "ms" },
      { what: "cold start: p90", measured: overhead.p90, bound: "at most", target: 60, unit: "ms" },
    ],
    notes: ["Each start follows a switch at level 3: the other engine is stopped first."],
  };
}

/** Which models are started in which order, and how long each takes: the same for everyone who is measured. */
export function startPlan(count: number): readonly { readonly model: BenchModel; readonly loadMs: number }[] {
  return Array.from({ length: count }, (_, at) => ({
    model: MODELS[at % 2 === 0 ? 0 : 1],
    // The golden ratio's multiples spread evenly, however many are taken.
    loadMs: Math.round(LOAD_SPREAD_MS * ((at * 0.618_034) % 1)),
  }));
}

/** Has a model that has no process answer once, and looks when its engine noticed what. */
export async function startCold(
  ground: BenchGround,
  gateway: Gateway,
  model: BenchModel,
  loadMs: number,
): Promise<ColdStart> {
  ground.setLoadMs(loadMs);
  await askOnce(gateway, model);
  const events = await readEngineEvents(model, gateway.enginePorts[model]);
  const timeOf = (name: string, path?: string): number => {
    const found = events.find((one) => one.event === name && (path === undefined || one.path === path));
    if (found === undefined) throw new Error(`the engine of ${model} has no event "${name}"`);
    return found.atMs;
  };
  const listeningMs = timeOf("listening");
  const healthyMs = timeOf("first byte sent", "/health");
  return { noticedMs: healthyMs - listeningMs, servedMs: timeOf("request received", CHAT_PATH) - healthyMs };
}
