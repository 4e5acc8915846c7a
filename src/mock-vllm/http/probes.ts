/** What the API server answers by itself, also while the engine sleeps: health, version, load, metrics, models. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Exchange } from "./exchange.ts";

/** GET /health (and /ping): 200 whatever the engine does, 503 once it is dead. */
export async function health(exchange: Exchange): Promise<void> {
  const { engine, faults } = exchange.services;
  const slowMs = faults.take("slow-health");
  if (slowMs !== undefined) await sleep(Number(slowMs === "" ? 1000 : slowMs));
  const fails = faults.take("health-error") !== undefined;
  exchange.send(fails || engine.link.isDead ? 503 : 200, "", "");
}

/** GET /version. */
export function version(exchange: Exchange): void {
  exchange.sendJson(200, { version: exchange.services.version.name });
}

/** GET /load. */
export function load(exchange: Exchange): void {
  exchange.sendJson(200, { server_load: exchange.services.requests.counts.running });
}

/** GET /metrics. */
export function metrics(exchange: Exchange): void {
  const { meters, engine } = exchange.services;
  exchange.send(200, "text/plain; version=1.0.0; charset=utf-8", meters.render(engine));
}

/** GET /v1/models. */
export function models(exchange: Exchange): void {
  const { args, createdSecs } = exchange.services;
  const data = args.servedModelNames.map((id) => ({
    id,
    object: "model",
    created: createdSecs,
    owned_by: "vllm",
    root: args.model,
    parent: null,
    max_model_len: args.maxModelLenTokens,
    permission: [],
  }));
  exchange.sendJson(200, { object: "list", data });
}
