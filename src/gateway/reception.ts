/** What becomes of a request, as far as its first line and its headers tell: who it is from, and where it goes. */
import { failure, type Failure } from "../base/failure.ts";
import type { ModelId, Priority } from "../core/model.ts";
import { OPAQUE_FORM, type BodyAsk, type BodyForm } from "./body-ask.ts";
import { bodyTooLarge } from "./body.ts";
import { notAllowed, type Guest } from "./doorkeeper.ts";
import type { ExchangeHouse } from "./exchange-house.ts";
import type { HeadReading } from "./head-reading.ts";
import type { RequestHeaders } from "./headers.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { RequestHead } from "./http1/request-head.ts";
import { JSON_FORM } from "./json-ask.ts";
import { ownAnswer } from "./listing.ts";
import type { GatewayModel } from "./models.ts";
import { isMultipart, multipartForm } from "./multipart-ask.ts";
import { readPriority } from "./priority.ts";
import type { OwnAnswer } from "./reply.ts";
import { dialectOf, findRoute, REALTIME_PATH, responseIdOf, splitTarget, type Dialect, type Route } from "./routes.ts";
import { readUpstreamTarget } from "./upstream-target.ts";

/** It goes to an engine, when its body has come. */
export interface ForEngine {
  readonly kind: "for an engine";
  /** With the client's query. */
  readonly path: string;
  readonly form: BodyForm;
  /** Null: the body names it, unless there is a `responseId`. */
  readonly model: ModelId | null;
  /** It is about this response, and another gateway may know which model has made it. */
  readonly responseId?: string;
  readonly priority: Priority | undefined;
}

/** Where it goes. */
export type Destination = ForEngine | { readonly kind: "answered here"; readonly answer: OwnAnswer } | Refused;

/** It goes nowhere. */
export interface Refused {
  readonly kind: "refused";
  readonly failure: Failure;
  /** Of the answer, names and values, flat. */
  readonly headers: readonly string[];
  /** The connection goes too. */
  readonly closes: boolean;
}

/** How a request was received. */
export interface Reception {
  readonly dialect: Dialect;
  /** Null for a path that is none. */
  readonly route: Route | null;
  /** Null for one who has to stay outside, and where nobody asks. */
  readonly guest: Guest | null;
  readonly destination: Destination;
}

/** A path that does not exist is repeated up to here. */
const PATH_SHOWN_MAX = 200;

/** Receives a request; nothing is counted yet, and nothing of its body read. */
export function receive(house: ExchangeHouse, request: HttpRequest, reading: HeadReading): Reception {
  const known = reading.reception;
  if (known !== null && (request.bodyBytes ?? 0) <= house.bodyLimits.bodyBytesMax) return known;
  const reception = receiveAnew(house, request, reading.headers);
  // Who has made an answer may be another one the next time.
  const { route, destination } = reception;
  if (destination.kind === "for an engine" && route?.names !== "response id") reading.reception = reception;
  return reception;
}

function receiveAnew(house: ExchangeHouse, request: HttpRequest, headers: RequestHeaders): Reception {
  const { head, bodyBytes } = request;
  const { method, url, httpVersion } = head;
  const target = splitTarget(url);
  const { path } = target;
  const dialect = dialectOf(path);
  const outside = (destination: Destination): Reception => ({ dialect, route: null, guest: null, destination });
  if (!headers.hasHost && httpVersion === "1.1") return outside({ ...refused(NO_HOST), closes: true });
  const route = findRoute(path);
  let guest: Guest | null = null;
  if (route?.answerer !== "health") {
    if (house.isSurplus(request)) return outside({ ...refused(TOO_MANY_CONNECTIONS), closes: true });
    const isOperator = route?.names === "path" && house.doorkeeper.isOperator(headers);
    guest = isOperator ? null : house.doorkeeper.letIn(headers);
    // Also where there is nothing: what there is here is no business of those outside.
    if (guest === null && !isOperator) {
      return outside(refused(house.doorkeeper.refusal(headers), ["www-authenticate", "Bearer"]));
    }
  }
  // For everybody but operators, their route is a path like any other that is none.
  if (route === null || (route.names === "path" && guest !== null)) {
    const message = `There is no ${method} ${path.slice(0, PATH_SHOWN_MAX)} here.`;
    return { dialect, route: null, guest, destination: refused(failure("route_not_found", message)) };
  }
  const destination = destinationOf(house, { route, head, bodyBytes, ...target, headers, guest });
  return { dialect: route.dialect, route, guest, destination };
}

interface Asked {
  readonly route: Route;
  readonly head: RequestHead;
  readonly bodyBytes: number | null;
  readonly path: string;
  readonly query: string;
  readonly headers: RequestHeaders;
  readonly guest: Guest | null;
}

function destinationOf(house: ExchangeHouse, asked: Asked): Destination {
  const { route, head, bodyBytes, path, headers, guest } = asked;
  const { method } = head;
  if (!route.methods.includes(method)) {
    const message = `${method} is not possible on ${route.path}, only ${route.methods.join(" and ")}.`;
    return refused(failure("method_not_allowed", message), ["allow", route.methods.join(", ")]);
  }
  if (route.answerer === "realtime") return refused(NO_WEB_SOCKET, ["upgrade", "websocket", "connection", "Upgrade"]);
  if (route.answerer !== "engine") {
    const answer = ownAnswer(house, route.answerer, path, guest?.models ?? house.models);
    return "code" in answer ? refused(answer) : { kind: "answered here", answer };
  }
  const priority = readPriority(headers.priority);
  if (typeof priority === "object") return refused(priority);
  const wrong = whatIsWrongWithBody(house.bodyLimits.bodyBytesMax, bodyBytes, headers);
  if (wrong !== null) return refused(wrong);
  return forEngine(house, asked, guest === null ? priority : guest.weigh(priority));
}

function whatIsWrongWithBody(
  bodyBytesMax: number,
  bodyBytes: number | null,
  { contentEncoding }: RequestHeaders,
): Failure | null {
  if (bodyBytes !== null && bodyBytes > bodyBytesMax) return bodyTooLarge(bodyBytesMax);
  if (contentEncoding === null || contentEncoding.toLowerCase() === "identity") return null;
  return invalid(`A body with content-encoding ${contentEncoding.slice(0, 50)} is not taken: send it plain.`);
}

function forEngine(house: ExchangeHouse, asked: Asked, priority: Priority | undefined): Destination {
  const { route, path, query, headers, guest } = asked;
  if (route.names === "path") {
    const target = readUpstreamTarget(path, house.models);
    if ("code" in target) return refused(target);
    const model = target.model.id;
    return { kind: "for an engine", path: target.path + query, form: OPAQUE_FORM, model, priority };
  }
  if (route.names === "response id") {
    const id = responseIdOf(path);
    const way = { kind: "for an engine", path: path + query, form: OPAQUE_FORM, priority } as const;
    const found = house.madeResponses.find(id);
    if (found === null && house.madeResponses.further !== null) return { ...way, model: null, responseId: id };
    const model = makerOf(house, guest, id, found);
    return typeof model === "string" ? { ...way, model } : refused(model);
  }
  const { contentType } = headers;
  const isForm = route.names === "json or form" && isMultipart(contentType);
  const form = isForm ? multipartForm(contentType) : JSON_FORM;
  return { kind: "for an engine", path: path + query, form, model: null, priority };
}

/** The model that a body asks for, unless its headers say something else, among those that the guest may use. */
export function modelOf(
  house: ExchangeHouse,
  guest: Guest | null,
  headers: RequestHeaders,
  ask: BodyAsk | Failure,
): GatewayModel | Failure {
  const { modelOverride } = headers;
  if (modelOverride === null && "code" in ask) return ask;
  const name = modelOverride ?? ("model" in ask ? ask.model : null);
  const models = guest?.models ?? house.models;
  if (name === null) return models.unnamed("The body");
  const model = models.find(name);
  if (model !== null) return model;
  const forbidden = house.models.find(name);
  return forbidden === null ? models.notFound(name) : notAllowed(forbidden.id);
}

/** The model that made a response, `found`, if there is one and the guest may use it. */
export function makerOf(
  { models }: ExchangeHouse,
  guest: Guest | null,
  id: string,
  found: ModelId | null,
): ModelId | Failure {
  if (found === null || (guest?.models ?? models).find(found) === null) return unknownResponse(id);
  return found;
}

function unknownResponse(id: string): Failure {
  return failure(
    "response_not_found",
    `There is no response \`${id}\`, or not any more: llmux remembers the last 10,000.`,
  );
}

const NO_WEB_SOCKET = failure("upgrade_required", `${REALTIME_PATH} is a WebSocket, and the request asks for none.`);

/** The connection is one too many. */
export const TOO_MANY_CONNECTIONS = failure(
  "too_many_connections",
  "llmux has as many connections as it takes (max_connections).",
);

/** HTTP/1.1 demands it. */
export const NO_HOST = failure("invalid_request", "The request has no Host header.");

function refused(reason: Failure, headers: readonly string[] = []): Refused {
  return { kind: "refused", failure: reason, headers, closes: false };
}

function invalid(message: string): Failure {
  return failure("invalid_request", message);
}
