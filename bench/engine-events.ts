/** What the stand-in engines noted of themselves, with the times they give. */
import { request } from "undici";

/** One event of one engine. `atMs` is the epoch in ms with fractions, the same clock for all processes of the machine. */
export interface EngineEvent {
  readonly engine: string;
  readonly event: string;
  readonly atMs: number;
  /** The path of the request, where there is one. */
  readonly path?: string;
}

/** The path of the requests that the benchmarks send. */
export const CHAT_PATH = "/v1/chat/completions";

/** Reads what the engine on this port remembers: the last 1,000 events of each kind. Rejects when it does not answer. */
export async function readEngineEvents(engine: string, port: number): Promise<readonly EngineEvent[]> {
  const answer = await request(`http://127.0.0.1:${port}/mock/events`);
  const events = (await answer.body.json()) as Omit<EngineEvent, "engine">[];
  return events.map((event) => Object.assign(event, { engine }));
}

/** Has the engine forget its events. */
export async function forgetEngineEvents(port: number): Promise<void> {
  const answer = await request(`http://127.0.0.1:${port}/mock/events`, { method: "DELETE" });
  await answer.body.dump();
}

/** Now, on the clock of the events. */
export function epochNowMs(): number {
  return performance.timeOrigin + performance.now();
}
