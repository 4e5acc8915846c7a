/** The development routes around sleep: there only with VLLM_SERVER_DEV_MODE=1. */
import type { PauseMode } from "../decoder.ts";
import { ApiError, badRequest, serverError } from "./api-errors.ts";
import type { Exchange } from "./exchange.ts";

/** POST /sleep?level=&mode=; a body is not looked at. */
export async function sleep(exchange: Exchange): Promise<void> {
  const { engine, events } = exchange.services;
  events.add("sleep received");
  const text = exchange.url.searchParams.get("level") ?? "1";
  if (!["0", "1", "2"].includes(text)) throw badRequest(`level: expected 0, 1 or 2, found ${text}`, "level");
  await engine.sleep(Number(text), pauseMode(exchange, 500));
  events.add("sleep done");
  exchange.send(200, "", "");
}

/** POST /wake_up?tags=weights&tags=kv_cache; without tags, all. */
export async function wakeUp(exchange: Exchange): Promise<void> {
  const { engine, events, log } = exchange.services;
  events.add("wake received");
  const tags = exchange.url.searchParams.getAll("tags");
  log.info("api_router.py:41", `wake up the engine with tags: ${tags.length === 0 ? "None" : JSON.stringify(tags)}`);
  await engine.wake(tags.length === 0 ? undefined : tags);
  events.add("wake done");
  exchange.send(200, "", "");
}

/** GET /is_sleeping. */
export async function isSleeping(exchange: Exchange): Promise<void> {
  exchange.sendJson(200, { is_sleeping: await exchange.services.engine.isSleeping() });
}

/** POST /pause?mode=. */
export async function pause(exchange: Exchange): Promise<void> {
  await exchange.services.engine.pause(pauseMode(exchange, 400));
  exchange.sendJson(200, { status: "paused" });
}

/** POST /resume. */
export async function resume(exchange: Exchange): Promise<void> {
  await exchange.services.engine.resume();
  exchange.sendJson(200, { status: "resumed" });
}

/** GET /is_paused. */
export async function isPaused(exchange: Exchange): Promise<void> {
  exchange.sendJson(200, { is_paused: await exchange.services.engine.isPaused() });
}

/** POST /collective_rpc {"method"}: reload_weights does something, a few harmless methods answer, others fail. */
export async function collectiveRpc(exchange: Exchange): Promise<void> {
  const { engine, events, args } = exchange.services;
  const json = await exchange.readJson();
  const method = json["method"];
  if (typeof method !== "string") throw new ApiError(400, "BadRequestError", "Missing 'method' in request body");
  const results = Array.from({ length: args.tensorParallelSize }, () => null);
  if (method === "reload_weights") {
    events.add("reload received");
    await engine.reload();
    events.add("reload done");
  } else if (!["check_health", "list_loras"].includes(method)) {
    throw serverError(`Call to collective_rpc method failed: 'Worker' object has no attribute '${method}'`);
  }
  exchange.sendJson(200, { results });
}

/** POST /reset_prefix_cache. */
export async function resetPrefixCache(exchange: Exchange): Promise<void> {
  const { engine, version } = exchange.services;
  await engine.resetPrefixCache();
  if (version.resetAnswersJson) return exchange.sendJson(200, { success: true });
  return exchange.send(200, "", "");
}

function pauseMode(exchange: Exchange, wrongStatus: 400 | 500): PauseMode {
  const mode = exchange.url.searchParams.get("mode") ?? "abort";
  if (mode === "abort" || mode === "wait" || mode === "keep") return mode;
  const message = `mode: Input should be 'abort', 'wait' or 'keep', found '${mode}'`;
  throw wrongStatus === 400 ? badRequest(message, "mode") : serverError(message);
}
