/** What a client may see, and what must not look like something else. */
import { answerTo, errorAnswerOf, requestIdOf } from "./answers.ts";
import type { ClientEnd } from "./client-connection.ts";
import type { SimulatedClient } from "./clients.ts";
import { takeHeartbeats } from "./heartbeats.ts";
import type { KeyRules } from "./key-rules.ts";
import type { LoggedRequest } from "./books.ts";
import type { Referee } from "./referee.ts";
import type { AppFault, PlannedClient } from "./scenario.ts";
import type { ReadResponse } from "./response-reader.ts";

/** What the rules know besides the client. */
export interface ClientCircumstances {
  readonly referee: Referee;
  readonly faults: readonly AppFault[];
  readonly keys: () => KeyRules;
  readonly isConfigured: (model: string) => boolean;
  /** Whether llmux is being killed, so that connections just end. */
  isKilled(): boolean;
  /** Whether nobody may be listening: during the end, and between two lives. */
  mayBeClosed(): boolean;
  /** From the time that the request is out of any engine's hands, in ms. */
  readonly outsideMaxMs: number;
}

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  invalid_api_key: 401,
  model_not_allowed: 403,
  too_many_in_flight: 429,
  rate_limit_exceeded: 429,
  model_not_found: 404,
  queue_timeout: 504,
  queue_full: 429,
  wait_too_long: 503,
  start_failed: 503,
  wake_failed: 503,
  out_of_memory: 503,
  sleep_failed: 503,
  stop_failed: 503,
  drain_timeout: 503,
  stopped_by_operator: 503,
  shutting_down: 503,
  engine_unreachable: 502,
};

/** At the door. */
const REFUSALS: ReadonlySet<number> = new Set([401, 403, 404, 429]);

/** Checked when a request has ended for its client. */
export class ClientRules {
  readonly #about: ClientCircumstances;

  constructor(about: ClientCircumstances) {
    this.#about = about;
  }

  onEnded(client: SimulatedClient, end: ClientEnd): void {
    const { plan, isBehind } = client;
    switch (end.kind) {
      case "not connected":
        this.#proper(this.#about.mayBeClosed(), plan, () => "finds nobody listening");
        return;
      case "answered":
        this.#onAnswered(client, end.response);
        return;
      case "cut":
        // Those behind another one on a connection that was cut know that nothing of theirs was answered.
        if (!this.#about.isKilled() && !(end.response === null && isBehind)) this.#onCut(plan, end.response);
        return;
      case "left":
        if (end.response?.status === 200) this.#isPrefix(plan, answerIn(plan, end.response.body));
    }
  }

  /** Rule "no client hangs": a request that no engine works on ends in bounded time. */
  checkHanging({ plan, outsideSinceMs, isBehind }: SimulatedClient, nowMs: number): void {
    if (outsideSinceMs === null || isBehind || plan.pause !== null) return;
    const outsideMs = nowMs - outsideSinceMs;
    this.#about.referee.demand(
      outsideMs <= this.#about.outsideMaxMs,
      "no client hangs",
      () => `${requestIdOf(plan)} has been in nobody's hands for ${outsideMs} ms`,
    );
  }

  /**
   * Rule "the journal agrees with what clients saw": the access record has the status that the client got, and calls served
   * what was answered in full. `record` undefined: there is none, and there must be one.
   */
  checkRecord({ plan, end, isBehind }: SimulatedClient, record: LoggedRequest | undefined): void {
    if (end === null || end.kind === "not connected") return;
    // A request is not looked at before those in front of it on its connection are answered.
    const isUnseen = isBehind && (end.kind === "left" || (end.kind === "cut" && end.response === null));
    if (record === undefined && isUnseen) return;
    const id = requestIdOf(plan);
    const { referee } = this.#about;
    referee.demand(record !== undefined, "every request ends exactly once", () => `${id} has no access record`);
    if (record === undefined || end.kind === "left") return;
    const agree = (condition: boolean, message: () => string): void =>
      referee.demand(condition, "the journal agrees with what clients saw", () => `${id} ${message()}`);
    const { status, outcome } = record;
    if (end.kind === "cut") {
      // An error of the engine's own that came after heartbeats is what it has served.
      const isServed = end.response === null || this.#enginesOwnEvent(plan, end.response.body) === status;
      agree(outcome !== "served" || isServed, () => `was cut, and its record says ${outcome}`);
      return;
    }
    const seen = end.response.status;
    // Who has stopped reading has the rest of the answer in its system's hands, of which llmux does not know.
    if (plan.pause !== null && outcome === "failed") return;
    agree(status === seen, () => `was answered ${seen}, and its record says ${status}`);
    const isServed = seen < 500 && !REFUSALS.has(seen);
    agree((outcome === "served") === isServed, () => `was answered ${seen}, and its record says ${outcome}`);
  }

  /**
   * Rule "nothing looks complete that is not": an answer that is complete by its form has all of the engine's bytes, or is an
   * error. Rule "every end is a proper one": an error is an error object with the status of its code.
   */
  #onAnswered(client: SimulatedClient, response: ReadResponse): void {
    const { plan } = client;
    const isEcho = response.headers.get("x-request-id") === requestIdOf(plan);
    this.#proper(isEcho, plan, () => `is answered with the id ${response.headers.get("x-request-id")}`);
    if (response.status === 200) {
      const expected = Buffer.concat(answerTo(plan).pieces);
      this.#about.referee.demand(
        expected.equals(takeHeartbeats(response.body).rest),
        "nothing looks complete that is not",
        () =>
          `${requestIdOf(plan)} looks complete with ${response.body.length} bytes of ${expected.length}: ` +
          JSON.stringify(response.body.toString().slice(-200)),
      );
      return;
    }
    if (this.#isEnginesOwn(plan, response)) return;
    const wrong = wrongInError(plan, response) ?? this.#wrongAtDoor(client, response);
    this.#proper(wrong === null, plan, () => `gets ${response.status} ${response.body.toString()}: ${wrong}`);
  }

  /** Null when those are refused at the door, and those alone, for whom it is closed. */
  #wrongAtDoor(client: SimulatedClient, { status, body }: ReadResponse): string | null {
    const { plan } = client;
    const keys = this.#about.keys();
    if ((status === 401) !== keys.staysOutside(plan)) return "401 is for those without a key, and for those alone";
    if (status === 401) return null;
    const code =
      plan.dialect === "anthropic" ? null : (JSON.parse(body.toString()) as { error: { code: string } }).error.code;
    const isForKey = code === "too_many_in_flight" || code === "rate_limit_exceeded";
    if (isForKey) return keys.couldBeTooMany(client, code) ? null : "its key has done nothing like that";
    if (status === 429 && code === null) return null;
    const isConfigured = this.#about.isConfigured(plan.model);
    if ((status === 404) === isConfigured) return "404 is for unknown models, and for those alone";
    if ((status === 403) !== (isConfigured && keys.mayNotUse(plan))) return "403 is for models that are not the key's";
    return null;
  }

  #isEnginesOwn(plan: PlannedClient, { status, body }: ReadResponse): boolean {
    return this.#about.faults.some(
      (fault) =>
        fault.kind === "request" &&
        fault.client === plan.id &&
        (fault.does === "400" || fault.does === "500") &&
        status === Number(fault.does) &&
        body.equals(Buffer.concat(errorAnswerOf(fault.does).pieces)),
    );
  }

  /** The status of the engine's own error which is all that came after heartbeats; null if something else came. */
  #enginesOwnEvent(plan: PlannedClient, body: Buffer): number | null {
    const { beats, rest } = takeHeartbeats(body);
    if (beats.length === 0) return null;
    for (const fault of this.#about.faults) {
      const isOwn = fault.kind === "request" && fault.client === plan.id;
      if (!isOwn || (fault.does !== "400" && fault.does !== "500")) continue;
      const data = Buffer.concat(errorAnswerOf(fault.does).pieces).toString();
      const event = `${plan.dialect === "anthropic" ? "event: error\n" : ""}data: ${data}\n\n`;
      if (rest.toString() === event) return Number(fault.does);
    }
    return null;
  }

  /** An answer that has begun, be it with a heartbeat, and breaks off ends with the connection, and an event stream with an error event before that. */
  #onCut(plan: PlannedClient, response: ReadResponse | null): void {
    this.#proper(response !== null, plan, () => "gets no answer at all");
    if (response === null) return;
    // Who did not read may have missed the end.
    if (plan.pause !== null) return;
    this.#proper(response.status === 200, plan, () => `gets a piece of an answer with status ${response.status}`);
    if (plan.form !== "stream") return this.#isPrefix(plan, response.body);
    if (this.#enginesOwnEvent(plan, response.body) !== null) return;
    const text = takeHeartbeats(response.body).rest.toString();
    const at = text.search(ERROR_EVENT);
    this.#proper(at !== -1, plan, () => `is cut without an error event: ${JSON.stringify(text.slice(-120))}`);
    if (at === -1) return;
    this.#isPrefix(plan, Buffer.from(text.slice(0, at)));
    const form =
      plan.dialect === "anthropic" ? /^\n{1,2}event: error\ndata: (\{.*\})\n\n$/ : /^\n{1,2}data: (\{.*\})\n\n$/;
    this.#proper(
      isErrorObject(form.exec(text.slice(at))?.[1], plan),
      plan,
      () => `has a broken error event: ${text.slice(at)}`,
    );
  }

  #isPrefix(plan: PlannedClient, body: Buffer): void {
    const expected = Buffer.concat(answerTo(plan).pieces);
    this.#about.referee.demand(
      expected.subarray(0, body.length).equals(body),
      "nothing looks complete that is not",
      () =>
        `${requestIdOf(plan)} gets other bytes than the engine has sent: ${JSON.stringify(body.toString().slice(-120))}`,
    );
  }

  #proper(condition: boolean, plan: PlannedClient, message: () => string): void {
    this.#about.referee.demand(condition, "every end is a proper one", () => `${requestIdOf(plan)} ${message()}`);
  }
}

const ERROR_EVENT = /\n{1,2}(?:event: error\n)?data: \{(?:"error"|"type":"error")/;

/** What of this is the engine's. */
function answerIn(plan: PlannedClient, body: Buffer): Buffer {
  const { rest } = takeHeartbeats(body);
  if (plan.form !== "stream") return rest;
  const at = rest.toString("latin1").search(ERROR_EVENT);
  return at === -1 ? rest : rest.subarray(0, at);
}

/** Null when the answer is an error as it should be. */
function wrongInError(plan: PlannedClient, response: ReadResponse): string | null {
  const { status, headers } = response;
  const text = response.body.toString();
  if (!isErrorObject(text, plan)) return "it is no error object";
  if (!(headers.get("content-type") ?? "").startsWith("application/json")) return "its content type is not JSON";
  if (status === 500) return "nothing went wrong inside llmux";
  if ((status === 503 || status === 429) && !/^[1-9]\d*$/.test(headers.get("retry-after") ?? ""))
    return "no retry-after";
  if (plan.dialect === "anthropic") return null;
  const { code } = (JSON.parse(text) as { error: { code: string } }).error;
  const fits = code === "engine_crashed" ? status === 502 || status === 503 : STATUS_OF_CODE[code] === status;
  return fits ? null : `${code} has another status`;
}

function isErrorObject(text: string | undefined, { dialect }: PlannedClient): boolean {
  try {
    const value = JSON.parse(text ?? "") as { type?: unknown; error?: Record<string, unknown> };
    const { error } = value;
    if (typeof error?.["message"] !== "string" || typeof error["type"] !== "string") return false;
    return dialect === "anthropic" ? value.type === "error" : typeof error["code"] === "string" && "param" in error;
  } catch {
    return false;
  }
}
