/**
 * The journal and the access records as log events. Event names are stable; people search for them.
 *
 * | event                                                          | level | when |
 * |----------------------------------------------------------------|-------|------|
 * | switch started, switch ended, switch cancelled                 | info  | a switch begins; its model is awake; nobody waits for it any more |
 * | switch redirected                                              | info  | after the drain another model is worth more: `before` stays away, `to` comes |
 * | wake retried                                                   | warn  | a wake or a start found too little GPU memory; one more must go, then it is tried again |
 * | requests suspended                                             | info  | a drain took too long: what runs stands still until its model is awake again |
 * | memory differs                                                 | warn  | an engine takes more or less of its GPUs than was believed; the measured figure counts from now on |
 * | switch failed                                                  | error | the model that was wanted did not come up |
 * | drain ended                                                    | debug | those who leave have no request left |
 * | engine starting, engine stopped                                | info  | a process begins, or none is left |
 * | engine stopping                                                | info, or warn after a failure | its processes are being ended |
 * | model awake, model asleep                                      | info  | with the time it took |
 * | drain called off                                               | info  | a model that should have left goes on serving |
 * | model draining, model falling asleep, model waking             | debug | on the way |
 * | model failed                                                   | warn  | it is left alone for a while, and when it will be tried again |
 * | engine crashed                                                 | error | its process ended without being asked to |
 * | sleep failed                                                   | warn  | the engine is stopped instead |
 * | stop failed                                                    | error | something of the engine is left |
 * | shutdown started, shutdown ended                               | info  | |
 * | request revoked                                                | warn  | a running request is broken off |
 * | waiter queued, waiter let in, waiter turned away, waiter left, lease released | debug | requests at the scheduler |
 * | request served, request abandoned                              | debug | a request is over; its client left |
 * | request refused, request failed                                | warn  | turned away, or broken off, and why |
 * | requests refused                                               | warn  | so many more, of which no head could be read (see `AccessLog`) |
 */
import type { JournalEntry } from "../core/journal.ts";
import { fromLabel } from "../core/switch.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import type { Log, LogFields } from "../ports/log.ts";
import { failureFields, type LogEvent, rounded } from "./log-event.ts";
import { stateEvent } from "./state-event.ts";

/** Writes an entry of the journal to the log. */
export function logJournal(log: Log, entry: JournalEntry): void {
  if (log.debugs === false && ALWAYS_DEBUG.has(entry.kind)) return;
  const { level, event, fields } = journalEvent(entry);
  log[level](event, fields);
}

/** Writes an access record to the log. */
export function logAccess(log: Log, record: AccessRecord): void {
  if (log.debugs === false && !isFault(record)) return;
  const { level, event, fields } = accessEvent(record);
  log[level](event, fields);
}

/** What happens for every request. */
const ALWAYS_DEBUG: ReadonlySet<JournalEntry["kind"]> = new Set([
  "request queued",
  "request granted",
  "request refused",
  "request abandoned",
  "lease released",
]);

/** What the log says of an entry of the journal. */
export function journalEvent(entry: JournalEntry): LogEvent {
  switch (entry.kind) {
    case "request queued":
      return debug("waiter queued", { model: entry.model, waiter: entry.waiter, depth: entry.depth });
    case "request granted":
      return debug("waiter let in", waiterFields(entry));
    case "request refused":
      return debug("waiter turned away", { ...waiterFields(entry), ...failureFields(entry.failure) });
    case "request abandoned":
      return debug("waiter left", waiterFields(entry));
    case "lease released":
      return debug("lease released", { model: entry.model, outcome: entry.outcome, held_ms: rounded(entry.heldMs) });
    case "lease revoked":
      return warn("request revoked", { model: entry.model, ...failureFields(entry.failure) });
    case "state changed":
      return stateEvent(entry);
    case "switch started":
      return info("switch started", { ...sides(entry), because: entry.because });
    case "switch redirected":
      return info("switch redirected", { ...sides(entry), before: entry.before });
    case "wake retried":
      return warn("wake retried", { model: entry.model, evicting: entry.evicting, ...failureFields(entry.failure) });
    case "requests suspended":
      return info("requests suspended", { model: entry.model, requests: entry.requests });
    case "memory differs": {
      const { model, believedBytes, measuredBytes } = entry;
      return warn("memory differs", { model, believed_bytes: believedBytes, measured_bytes: measuredBytes });
    }
    case "drain ended":
      return debug("drain ended", { ...sides(entry), drain_ms: rounded(entry.drainMs) });
    case "switch cancelled":
      return info("switch cancelled", { ...sides(entry), because: entry.because });
    case "switch ended":
      return info("switch ended", { ...sides(entry), duration_ms: rounded(entry.durationMs) });
    case "switch failed": {
      const fields = { ...sides(entry), duration_ms: rounded(entry.durationMs), ...failureFields(entry.failure) };
      return { level: "error", event: "switch failed", fields };
    }
    case "engine crashed": {
      const fields = { model: entry.model, during: entry.during, ...failureFields(entry.failure) };
      return { level: "error", event: "engine crashed", fields };
    }
    case "sleep failed":
      return warn("sleep failed", { model: entry.model, ...failureFields(entry.failure) });
    case "stop failed": {
      const retry = entry.retryAtMs === null ? {} : { retry_in_ms: rounded(entry.retryAtMs - entry.atMs) };
      const fields = { model: entry.model, ...failureFields(entry.failure), ...retry };
      return { level: "error", event: "stop failed", fields };
    }
    case "shutdown started":
      return info("shutdown started", { in_flight: entry.inFlight });
    case "shutdown ended":
      return info("shutdown ended", {});
  }
  return entry satisfies never;
}

/** What the log says of a finished request. */
export function accessEvent(record: AccessRecord): LogEvent {
  const fields = {
    request_id: record.requestId,
    method: record.method,
    route: record.route,
    model: record.model,
    ...(record.key === undefined ? {} : { client: record.key }),
    status: record.status,
    duration_ms: rounded(record.durationMs),
    waited_ms: rounded(record.waitedMs),
    bytes_in: record.bytesIn,
    bytes_out: record.bytesOut,
    // The engine's last output is in the event of the engine's own failure: not again for each request that it cost.
    ...(record.failure === undefined ? {} : { code: record.failure.code, reason: record.failure.message }),
  };
  return { level: isFault(record) ? "warn" : "debug", event: `request ${record.outcome}`, fields };
}

function isFault({ outcome }: AccessRecord): boolean {
  return outcome === "refused" || outcome === "failed";
}

function sides({ from, to }: { readonly from: readonly string[]; readonly to: string }): LogFields {
  return { from: fromLabel(from), to };
}

function waiterFields(entry: {
  readonly model: string;
  readonly waiter: number;
  readonly waitedMs: number;
}): LogFields {
  return { model: entry.model, waiter: entry.waiter, waited_ms: rounded(entry.waitedMs) };
}

function debug(event: string, fields: LogFields): LogEvent {
  return { level: "debug", event, fields };
}

function info(event: string, fields: LogFields): LogEvent {
  return { level: "info", event, fields };
}

function warn(event: string, fields: LogFields): LogEvent {
  return { level: "warn", event, fields };
}
