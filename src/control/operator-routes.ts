/**
 * What operators can ask over HTTP, whichever door they come through.
 *
 * | request                                       | answer |
 * |-----------------------------------------------|--------|
 * | GET /status                                   | 200, a status document |
 * | GET /explain?model={name}&last={count}        | 200, an explanation: of everything, or of one model, with the last switches (10 unless told otherwise); 404 no such model |
 * | POST /models/{name}/sleep, /models/{name}/stop | 200 with the model's status after it; 404 no such model; 409 not now; 503 llmux ends |
 *
 * `{name}` is a model or an alias, percent-encoded. Errors are `{"error":{"code","message"}}`.
 */
import { failure, type Failure } from "../base/failure.ts";
import type { ModelId } from "../core/model.ts";
import type { OperatorCommand } from "../core/operator.ts";
import type { ExplanationDocument, ExplanationQuery } from "./explanation.ts";
import type { StatusDocument } from "./status.ts";

/** What the answers are made of. */
export interface OperatorDesk {
  readonly status: () => StatusDocument;
  readonly explain: (query: ExplanationQuery) => ExplanationDocument;
  /** The model that goes by this name or alias, or null. */
  readonly findModel: (name: string) => ModelId | null;
  /** Returns null, or why nothing is done. */
  readonly operate: (model: ModelId, command: OperatorCommand) => Failure | null;
}

/** An answer: its HTTP status and what is in it, before it is JSON. */
export interface OperatorAnswer {
  readonly status: number;
  readonly document: unknown;
}

/** So many switches are explained where nobody says how many. */
const SWITCHES_EXPLAINED = 10;

/** Answers a request. */
export function answerOperator(desk: OperatorDesk, method: string, url: string): OperatorAnswer {
  const [path = "", query = ""] = url.split("?", 2);
  if (path === "/status") {
    if (method !== "GET") return operatorError(405, "method_not_allowed", "expected GET");
    return { status: 200, document: desk.status() };
  }
  if (path === "/explain") {
    if (method !== "GET") return operatorError(405, "method_not_allowed", "expected GET");
    return explain(desk, new URLSearchParams(query));
  }
  const [, name, command] = /^\/models\/([^/]+)\/(sleep|stop)$/.exec(path) ?? [];
  if (name === undefined || (command !== "sleep" && command !== "stop")) {
    return operatorError(404, "route_not_found", `there is no ${path} here`);
  }
  if (method !== "POST") return operatorError(405, "method_not_allowed", "expected POST");
  return operate(desk, decoded(name), command);
}

/** An answer that says what is wrong. */
export function operatorError(status: number, code: Failure["code"], message: string): OperatorAnswer {
  return { status, document: { error: failure(code, message) } };
}

function explain(desk: OperatorDesk, query: URLSearchParams): OperatorAnswer {
  const name = query.get("model");
  const model = name === null ? null : desk.findModel(name);
  if (name !== null && model === null) return noModel(desk, name);
  const last = query.get("last") ?? String(SWITCHES_EXPLAINED);
  if (!/^\d{1,9}$/.test(last)) {
    return operatorError(400, "invalid_request", `last: expected a whole number, found "${last}"`);
  }
  return { status: 200, document: desk.explain({ model, last: Number(last) }) };
}

function noModel(desk: OperatorDesk, name: string): OperatorAnswer {
  const names = desk.status().models.map(({ id }) => id);
  return operatorError(404, "model_not_found", `no model ${name}; there are ${names.join(", ")}`);
}

function operate(desk: OperatorDesk, name: string, command: OperatorCommand): OperatorAnswer {
  const model = desk.findModel(name);
  if (model === null) return noModel(desk, name);
  const refused = desk.operate(model, command);
  if (refused !== null) {
    return operatorError(refused.code === "shutting_down" ? 503 : 409, refused.code, refused.message);
  }
  return { status: 200, document: { model: desk.status().models.find(({ id }) => id === model) } };
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
