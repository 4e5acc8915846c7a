/** Which paths exist, and who answers them. What is not in this table never reaches an engine, but by an operator's hand. */

/** Whose form the answers and errors of a route have. */
export type Dialect = "openai" | "anthropic";

/** Who answers: the model's engine, by HTTP or by WebSocket, or the gateway itself. */
export type Answerer = "engine" | "model list" | "one model" | "health" | "about" | "realtime";

/** Where the name of the model is: in a JSON body; in that or in a form; with the id of an earlier answer; in the path. */
export type NamePlace = "json" | "json or form" | "response id" | "path" | "nowhere";

/** One row of the table. */
export interface Route {
  /** As clients write it, with what differs in braces. */
  readonly path: string;
  readonly methods: readonly string[];
  readonly answerer: Answerer;
  readonly dialect: Dialect;
  readonly names: NamePlace;
  /** Whether `"stream": true` in its body asks for an event stream. */
  readonly streams: boolean;
}

/** What an id follows in the path of a single model. */
export const ONE_MODEL_PATH = "/v1/models/";

/** The WebSocket. */
export const REALTIME_PATH = "/v1/realtime";

/** What a model's name, and any path of its engine, follow. */
export const UPSTREAM_PATH = "/upstream/";

const READ = ["GET", "HEAD"];

const ONE_MODEL = own(`${ONE_MODEL_PATH}{model}`, "one model");

/** The routes of an answer that an engine has made and remembers. */
const ONE_RESPONSE = engine("/v1/responses/{id}", { methods: ["GET", "DELETE"], names: "response id" });
const CANCEL_RESPONSE = engine("/v1/responses/{id}/cancel", { names: "response id" });

/** Any route of an engine but those that control it; for operators. */
const UPSTREAM = engine(`${UPSTREAM_PATH}{model}/{path}`, {
  methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
  names: "path",
});

/** Generation, as an event stream if the client likes. */
const GENERATES = { streams: true } as const;
const FORM = { names: "json or form" } as const;

const ROUTES: readonly Route[] = [
  engine("/v1/chat/completions", GENERATES),
  engine("/v1/completions", GENERATES),
  engine("/v1/responses", GENERATES),
  engine("/v1/messages", { ...GENERATES, dialect: "anthropic" }),
  engine("/v1/messages/count_tokens", { dialect: "anthropic" }),
  engine("/v1/embeddings"),
  engine("/v1/audio/transcriptions", FORM),
  engine("/v1/audio/translations", FORM),
  engine("/v1/audio/speech"),
  engine("/v1/images/generations"),
  engine("/v1/images/edits", FORM),
  engine("/tokenize"),
  engine("/detokenize"),
  engine("/pooling"),
  engine("/classify"),
  engine("/score"),
  engine("/v1/score"),
  engine("/rerank"),
  engine("/v1/rerank"),
  engine("/v2/rerank"),
  // llama-server's own.
  engine("/completion", GENERATES),
  engine("/infill", GENERATES),
  { ...own(REALTIME_PATH, "realtime"), methods: ["GET"] },
  own("/v1/models", "model list"),
  own("/health", "health"),
  own("/", "about"),
];

const BY_PATH: ReadonlyMap<string, Route> = new Map(ROUTES.map((route) => [route.path, route]));

/** Nothing that could be anything else in a path. */
const RESPONSE = /^\/v1\/responses\/([A-Za-z0-9_-]{1,200})(\/cancel)?$/;

/**
 * Finds the route of a path, or null. The path is compared as the client sent it: nothing is decoded and nothing
 * normalised, so there is no second spelling of any path, and none that an engine could read differently.
 */
export function findRoute(path: string): Route | null {
  const route = BY_PATH.get(path);
  if (route !== undefined) return route;
  if (path.startsWith(ONE_MODEL_PATH)) return ONE_MODEL;
  if (path.startsWith(UPSTREAM_PATH)) return UPSTREAM;
  const response = RESPONSE.exec(path);
  if (response === null) return null;
  return response[2] === undefined ? ONE_RESPONSE : CANCEL_RESPONSE;
}

/** The id in the path of a route that names its model by one. */
export function responseIdOf(path: string): string {
  return RESPONSE.exec(path)?.[1] ?? "";
}

const AUTHORITY = /^https?:\/\/[^/?]*/i;

/** A request target, cut at its first question mark. */
export interface Target {
  readonly path: string;
  /** With the question mark; empty when there is none. */
  readonly query: string;
}

/**
 * Cuts a request target into path and query. One with scheme and authority before them (RFC 9112, section 3.2.2) is the same without:
 * llmux has one site, whatever clients call it.
 */
export function splitTarget(whole: string): Target {
  const target = whole.startsWith("/") ? whole : withoutAuthority(whole);
  const queryAt = target.indexOf("?");
  return queryAt === -1
    ? { path: target, query: "" }
    : { path: target.slice(0, queryAt), query: target.slice(queryAt) };
}

/** What is no such target stays as it is, and is none of the paths. */
function withoutAuthority(target: string): string {
  const authority = AUTHORITY.exec(target)?.[0];
  if (authority === undefined) return target;
  const rest = target.slice(authority.length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** The dialect in which to say that a path does not exist. */
export function dialectOf(path: string): Dialect {
  return path === "/v1/messages" || path.startsWith("/v1/messages/") ? "anthropic" : "openai";
}

function engine(path: string, more: Partial<Omit<Route, "path" | "answerer">> = {}): Route {
  return { path, methods: ["POST"], answerer: "engine", dialect: "openai", names: "json", streams: false, ...more };
}

function own(path: string, answerer: Answerer): Route {
  return { path, methods: READ, answerer, dialect: "openai", names: "nowhere", streams: false };
}
