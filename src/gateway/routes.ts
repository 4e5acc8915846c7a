/** Which paths exist, and who answers them. What is not in this table never reaches an engine. */

/** Whose form the answers and errors of a route have. */
export type Dialect = "openai" | "anthropic";

/** Who answers: the model's engine, or the gateway itself. */
export type Answerer = "engine" | "model list" | "one model" | "health" | "about";

/** One row of the table. */
export interface Route {
  /** As clients write it and as the engine gets it; for "one model" without the id that follows. */
  readonly path: string;
  readonly methods: readonly string[];
  readonly answerer: Answerer;
  readonly dialect: Dialect;
  /** Whether its body may be a multipart form; else it is JSON. */
  readonly takesForms?: true;
}

/** What an id follows in the path of a single model. */
export const ONE_MODEL_PATH = "/v1/models/";

const ONE_MODEL: Route = { path: ONE_MODEL_PATH, methods: ["GET", "HEAD"], answerer: "one model", dialect: "openai" };

const ROUTES: readonly Route[] = [
  proxied("/v1/chat/completions"),
  proxied("/v1/completions"),
  proxied("/v1/responses"),
  proxied("/v1/embeddings"),
  proxied("/v1/messages", "anthropic"),
  proxied("/v1/messages/count_tokens", "anthropic"),
  proxied("/tokenize"),
  proxied("/detokenize"),
  proxied("/pooling"),
  proxied("/classify"),
  proxied("/score"),
  proxied("/v1/score"),
  proxied("/rerank"),
  proxied("/v1/rerank"),
  proxied("/v2/rerank"),
  form("/v1/audio/transcriptions"),
  form("/v1/audio/translations"),
  proxied("/v1/audio/speech"),
  proxied("/v1/images/generations"),
  form("/v1/images/edits"),
  proxied("/infill"),
  proxied("/completion"),
  { path: "/v1/models", methods: ["GET", "HEAD"], answerer: "model list", dialect: "openai" },
  { path: "/health", methods: ["GET", "HEAD"], answerer: "health", dialect: "openai" },
  { path: "/", methods: ["GET", "HEAD"], answerer: "about", dialect: "openai" },
];

const BY_PATH: ReadonlyMap<string, Route> = new Map(ROUTES.map((route) => [route.path, route]));

/**
 * Finds the route of a path, or null. The path is compared as the client sent it: nothing is decoded and nothing
 * normalised, so there is no second spelling of any path, and none that an engine could read differently.
 */
export function findRoute(path: string): Route | null {
  return BY_PATH.get(path) ?? (path.startsWith(ONE_MODEL.path) ? ONE_MODEL : null);
}

/** A request target, cut at its first question mark. */
export interface Target {
  readonly path: string;
  /** With the question mark; empty when there is none. */
  readonly query: string;
}

/** Cuts a request target into path and query. */
export function splitTarget(target: string): Target {
  const queryAt = target.indexOf("?");
  return queryAt === -1
    ? { path: target, query: "" }
    : { path: target.slice(0, queryAt), query: target.slice(queryAt) };
}

/** The dialect in which to say that a path does not exist. */
export function dialectOf(path: string): Dialect {
  return path === "/v1/messages" || path.startsWith("/v1/messages/") ? "anthropic" : "openai";
}

function proxied(path: string, dialect: Dialect = "openai"): Route {
  return { path, methods: ["POST"], answerer: "engine", dialect };
}

function form(path: string): Route {
  return { ...proxied(path), takesForms: true };
}
