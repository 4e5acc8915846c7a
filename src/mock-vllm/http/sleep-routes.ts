/** The development routes around sleep: there only with VLLM_SERVER_DEV_MODE=1. */
import type { PauseMode } from "../decoder.ts";
import { pythonList } from "../python-text.ts";
import { badRequest, invalidBody, serverError } from "./api-errors.ts";
import type { Exchange } from "./exchange.ts";
import { findJsonMistake } from "./json-mistake.ts";
import { integerTextProblem, invalid } from "./validation.ts";
import type { Problem } from "./validation.ts";

/** POST /sleep?level=&mode=; a body is not looked at. Level 0 only pauses. */
export async function sleep(exchange: Exchange): Promise<void> {
  const { engine, events, meters, version } = exchange.services;
  events.add("sleep received");
  const { level, mode } = sleepQuery(exchange);
  await meters.timed("sleep", () => engine.sleep(level, mode));
  events.add("sleep done");
  if (version.manner === "0.32") return exchange.sendJson(200, { status: "sleeping", level });
  return exchange.send(200, "", "");
}

/** POST /wake_up?tags=weights&tags=kv_cache; without tags, all. The tag `scheduling` ends a sleep of level 0. */
export async function wakeUp(exchange: Exchange): Promise<void> {
  const { engine, events, log, meters, version } = exchange.services;
  events.add("wake received");
  const given = exchange.url.searchParams.getAll("tags");
  const tags = given.length === 0 ? null : given;
  log.info("api_router.py:50", `wake up the engine with tags: ${tags === null ? "None" : pythonList(tags)}`);
  const isAwake = await meters.timed("wake", () => engine.wake(tags ?? undefined));
  events.add("wake done");
  if (version.manner === "0.32") return exchange.sendJson(200, { status: isAwake ? "awake" : "sleeping", tags });
  return exchange.send(200, "", "");
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
  const method = rpcMethod((await exchange.readBody()).toString());
  const results = Array.from({ length: args.tensorParallelSize }, () => null);
  if (method === "reload_weights") {
    events.add("reload received");
    await engine.reload();
    events.add("reload done");
  } else if (typeof method !== "string" || !["check_health", "list_loras"].includes(method)) {
    throw serverError(`Call to collective_rpc method failed: ${noSuchMethod(String(method), args.tensorParallelSize)}`);
  }
  exchange.sendJson(200, { results });
}

function rpcMethod(text: string): unknown {
  const mistake = findJsonMistake(text);
  if (mistake !== undefined) {
    const lines = Array.from(text).slice(0, mistake.at).join("").split("\n");
    const place = `line ${lines.length} column ${Array.from(lines.at(-1) ?? "").length + 1} (char ${mistake.at})`;
    throw invalidBody(`JSON decode error: ${mistake.message}: ${place}`);
  }
  const json = JSON.parse(text) as unknown;
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw invalidBody("Request body must be a JSON object");
  }
  const method = "method" in json ? json.method : null;
  if (method === null) throw invalidBody("Missing 'method' in request body");
  return method;
}

/** One GPU is worked on inside EngineCore, several by processes of their own, whose errors come wrapped. */
function noSuchMethod(name: string, tensorParallelSize: number): string {
  if (tensorParallelSize === 1) return `Method '${name}' is not implemented.`;
  return (
    `Worker failed with error ''Worker' object has no attribute '${name}'', ` +
    "please check the stack trace above for the root cause"
  );
}

/** POST /reset_prefix_cache. */
export async function resetPrefixCache(exchange: Exchange): Promise<void> {
  const { engine, version } = exchange.services;
  await engine.resetPrefixCache();
  if (version.resetAnswersJson) return exchange.sendJson(200, { success: true });
  return exchange.send(200, "", "");
}

function sleepQuery(exchange: Exchange): { level: number; mode: PauseMode } {
  const level = queryValue(exchange, "level") ?? "1";
  if (exchange.services.version.manner === "0.28") {
    if (!["0", "1", "2"].includes(level)) throw badRequest(`level: expected 0, 1 or 2, found ${level}`, "level");
    return { level: Number(level), mode: pauseMode(exchange, 500) };
  }
  const problems = [levelProblem(level), modeProblem(queryValue(exchange, "mode") ?? "abort")];
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length > 0) throw invalid(found);
  return { level: Number(level), mode: pauseMode(exchange, 400) };
}

/** The value of a parameter; of several the last counts. */
function queryValue(exchange: Exchange, name: string): string | undefined {
  return exchange.url.searchParams.getAll(name).at(-1);
}

function levelProblem(text: string): Problem | undefined {
  const loc = "query.level";
  const problem = integerTextProblem(text, loc);
  if (problem !== undefined) return problem;
  const base = { loc, input: text };
  if (Number(text) < 0) {
    return { ...base, type: "greater_than_equal", msg: "Input should be greater than or equal to 0", ctx: { ge: 0 } };
  }
  if (Number(text) <= 2) return undefined;
  return { ...base, type: "less_than_equal", msg: "Input should be less than or equal to 2", ctx: { le: 2 } };
}

function modeProblem(text: string): Problem | undefined {
  if (isPauseMode(text)) return undefined;
  const expected = "'abort', 'wait' or 'keep'";
  const msg = `Input should be ${expected}`;
  return { type: "literal_error", loc: "query.mode", msg, input: text, ctx: { expected } };
}

function pauseMode(exchange: Exchange, wrongStatus: 400 | 500): PauseMode {
  const mode = queryValue(exchange, "mode") ?? "abort";
  if (isPauseMode(mode)) return mode;
  if (wrongStatus === 500) throw serverError(`Call to sleep method failed: Invalid pause mode: ${mode}`);
  const problem = modeProblem(mode);
  throw problem === undefined ? badRequest(mode) : invalid([problem]);
}

function isPauseMode(text: string): text is PauseMode {
  return text === "abort" || text === "wait" || text === "keep";
}
