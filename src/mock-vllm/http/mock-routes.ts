/** The stand-in's own control routes under /mock: faults, requests, events, state. The real engine has none of them. */
import { readFaults } from "../faults.ts";
import { UsageError } from "../usage-error.ts";
import { badRequest } from "./api-errors.ts";
import type { Exchange } from "./exchange.ts";

/** GET /mock/faults. */
export function showFaults(exchange: Exchange): void {
  exchange.sendJson(200, exchange.services.faults.list());
}

/** POST /mock/faults {"wake-oom":{"times":1},"leak":{"value":"64MiB"},"sleep-hang":false}. */
export async function orderFaults(exchange: Exchange): Promise<void> {
  const { faults, stopReading } = exchange.services;
  const json = await exchange.readJson();
  try {
    faults.order(readFaults(json));
  } catch (error) {
    if (error instanceof UsageError) throw badRequest(error.message);
    throw error;
  }
  const deaf = faults.take("stop-reading");
  exchange.sendJson(200, faults.list());
  if (deaf !== undefined) exchange.response.once("finish", () => stopReading(deaf === "" ? undefined : Number(deaf)));
}

/** DELETE /mock/faults. */
export function clearFaults(exchange: Exchange): void {
  exchange.services.faults.clear();
  exchange.sendJson(200, exchange.services.faults.list());
}

/** GET /mock/requests?last=100: counts, and the last requests. */
export function showRequests(exchange: Exchange): void {
  const { requests, engine } = exchange.services;
  const last = Number(exchange.url.searchParams.get("last") ?? "100");
  exchange.sendJson(200, {
    counts: { ...requests.counts, decoding: engine.decoder.running, waiting: engine.decoder.waiting },
    requests: requests.last(Number.isInteger(last) && last > 0 ? last : 100),
  });
}

/** GET /mock/events. */
export function showEvents(exchange: Exchange): void {
  exchange.sendJson(200, exchange.services.events.list());
}

/** DELETE /mock/events. */
export function clearEvents(exchange: Exchange): void {
  exchange.services.events.clear();
  exchange.sendJson(200, []);
}

/** GET /mock/state: the engine's memory, pids, and scheduler. */
export function showState(exchange: Exchange): void {
  const { engine, args } = exchange.services;
  exchange.sendJson(200, {
    model: args.model,
    apiServerPid: process.pid,
    engineCorePid: engine.link.pid ?? null,
    engineIsDead: engine.link.isDead,
    ...engine.core,
    isPaused: engine.decoder.isPaused,
    running: engine.decoder.running,
    waiting: engine.decoder.waiting,
  });
}
