/** The answers that need no engine: the models there are, health, and what this is. Nothing here wakes a model. */
import { unreachable } from "../base/assert.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { EngineStates } from "./engine-states.ts";
import type { GatewayModel, Models } from "./models.ts";
import type { OwnAnswer } from "./reply.ts";
import type { Answerer } from "./routes.ts";
import { ONE_MODEL_PATH } from "./routes.ts";

/** What the answers are made of. */
export interface ListingSource {
  readonly snapshot: () => EngineStates;
  /** When this process began, in s since 1970: OpenAI's `created`, which must not change from one listing to the next. */
  readonly createdAtEpochS: number;
}

/** Answers a request for `path`, one of the routes that `answerer` has, to one who may use `models`. */
export function ownAnswer(
  source: ListingSource,
  answerer: Exclude<Answerer, "engine" | "realtime">,
  path: string,
  models: Models,
): OwnAnswer | Failure {
  switch (answerer) {
    case "model list":
      return json({ object: "list", data: listModels(source, models.all) });
    case "one model":
      return oneModel(source, path.slice(ONE_MODEL_PATH.length), models);
    case "health":
      return source.snapshot().phase === "running" ? json({ status: "ok" }) : SHUTTING_DOWN;
    case "about":
      return json(ABOUT);
    default:
      return unreachable(answerer);
  }
}

/** Ids may contain slashes, and clients send them as they are or percent-encoded. */
function oneModel(source: ListingSource, encodedName: string, models: Models): OwnAnswer | Failure {
  const name = decode(encodedName);
  const model = models.find(name);
  return model === null ? models.notFound(name) : json(listModels(source, [model])[0]);
}

function listModels(source: ListingSource, models: readonly GatewayModel[]): object[] {
  const states = new Map(source.snapshot().models.map(({ id, state }) => [id, state.kind]));
  return models.map(({ id, aliases }) => ({
    id,
    object: "model",
    created: source.createdAtEpochS,
    owned_by: "llmux",
    aliases,
    status: states.get(id) ?? "stopped",
  }));
}

function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

function json(document: unknown): OwnAnswer {
  return { status: 200, headers: ["content-type", "application/json; charset=utf-8"], body: JSON.stringify(document) };
}

const SHUTTING_DOWN = failure("shutting_down", "llmux is shutting down");

const ABOUT = {
  name: "llmux",
  description: "Several language models behind one OpenAI-compatible address: name one of them in `model`.",
  models: "/v1/models",
  health: "/health",
};
