import { deepEqual, equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "../base/failure.ts";
import type { EngineState, EngineStateKind } from "../core/engine-state.ts";
import type { JournalEvent } from "../core/journal.ts";
import type { Log } from "../ports/log.ts";
import { accessEvent, journalEvent, logAccess, logJournal } from "./journal-log.ts";
import { accessRecord } from "./testing/access-record.ts";

const broken = failure("wake_failed", "out of memory", { lastOutput: ["CUDA error"], retryAfterMs: 2_000 });
const record = accessRecord({ route: "/v1/completions", durationMs: 12.345 });

const event = (entry: JournalEvent) => journalEvent({ ...entry, atMs: 1_000 });

function stateChange(from: EngineStateKind, to: EngineState) {
  return event({ kind: "state changed", model: "a", from, to, lastedMs: 1500.04 });
}

describe("the journal in the log", () => {
  it("says that a switch has begun, between whom and why", () => {
    deepEqual(event({ kind: "switch started", from: [], to: "b", because: "it waits", compared: [] }), {
      level: "info",
      event: "switch started",
      fields: { from: "idle", to: "b", because: "it waits" },
    });
  });

  it("says that a model is awake and how long that took", () => {
    deepEqual(stateChange("waking", { kind: "awake" }), {
      level: "info",
      event: "model awake",
      fields: { model: "a", after: "waking", took_ms: 1500 },
    });
    equal(stateChange("draining", { kind: "awake" }).event, "drain called off");
  });

  it("says why a switch failed, with the engine's last output", () => {
    deepEqual(event({ kind: "switch failed", from: ["a"], to: "b", durationMs: 10, failure: broken }), {
      level: "error",
      event: "switch failed",
      fields: {
        from: "a",
        to: "b",
        duration_ms: 10,
        code: "wake_failed",
        reason: "out of memory",
        retry_after_ms: 2000,
        last_output: ["CUDA error"],
      },
    });
  });

  it("says that another model comes than the one for which a switch began", () => {
    deepEqual(event({ kind: "switch redirected", from: ["a"], before: "b", to: "c" }), {
      level: "info",
      event: "switch redirected",
      fields: { from: "a", to: "c", before: "b" },
    });
  });

  it("says who has to go besides after a wake without room", () => {
    const { level, fields } = event({ kind: "wake retried", model: "a", evicting: "b", failure: broken });
    equal(level, "warn");
    deepEqual([fields["model"], fields["evicting"], fields["reason"]], ["a", "b", "out of memory"]);
  });

  it("says how many requests stand still, and that an engine takes other memory than believed", () => {
    deepEqual(event({ kind: "requests suspended", model: "a", requests: 3 }).fields, { model: "a", requests: 3 });
    deepEqual(event({ kind: "memory differs", model: "a", believedBytes: 5, measuredBytes: 6 }), {
      level: "warn",
      event: "memory differs",
      fields: { model: "a", believed_bytes: 5, measured_bytes: 6 },
    });
  });

  it("says that an engine crashed and in which state", () => {
    const crash = failure("engine_crashed", "exit code 1");
    deepEqual(event({ kind: "engine crashed", model: "a", during: "awake", failure: crash }), {
      level: "error",
      event: "engine crashed",
      fields: { model: "a", during: "awake", code: "engine_crashed", reason: "exit code 1" },
    });
  });

  it("says when a failed model will be tried again", () => {
    const { level, fields } = stateChange("stopping", { kind: "failed", failure: broken, retryAtMs: 3_000 });
    equal(level, "warn");
    equal(fields["retry_in_ms"], 2_000);
    equal("last_output" in fields, false);
  });

  it("says of a stop whether it was asked for", () => {
    equal(stateChange("awake", { kind: "stopping", because: null }).level, "info");
    deepEqual(stateChange("awake", { kind: "stopping", because: broken }), {
      level: "warn",
      event: "engine stopping",
      fields: { model: "a", during: "awake", code: "wake_failed", reason: "out of memory" },
    });
  });

  it("says whether a stop that failed will be tried again", () => {
    const stop = { kind: "stop failed", model: "a", failure: broken } as const;
    equal(event({ ...stop, retryAtMs: 5_000 }).fields["retry_in_ms"], 4_000);
    equal("retry_in_ms" in event({ ...stop, retryAtMs: null }).fields, false);
  });

  it("keeps requests at the level debug", () => {
    const waiter = { model: "a", waiter: 1 } as const;
    const events = [
      event({ kind: "request queued", ...waiter, depth: 2 }),
      event({ kind: "request granted", ...waiter, waitedMs: 5 }),
      event({ kind: "request refused", ...waiter, waitedMs: 5, failure: broken }),
      event({ kind: "request abandoned", ...waiter, waitedMs: 5 }),
      event({ kind: "lease released", model: "a", outcome: "served", heldMs: 9 }),
    ];
    for (const { level } of events) equal(level, "debug");
  });

  it("has an event of its own for every state an engine can come to", () => {
    const events = [
      stateChange("stopped", { kind: "starting" }),
      stateChange("starting", { kind: "awake" }),
      stateChange("awake", { kind: "draining", to: 1 }),
      stateChange("draining", { kind: "falling asleep", to: 1 }),
      stateChange("falling asleep", { kind: "asleep", level: 1 }),
      stateChange("asleep", { kind: "waking", from: 1 }),
      stateChange("awake", { kind: "stopping", because: null }),
      stateChange("stopping", { kind: "stopped" }),
      stateChange("stopping", { kind: "failed", failure: broken, retryAtMs: 0 }),
    ];
    equal(new Set(events.map((one) => one.event)).size, events.length);
    // A second `level` in a line would stand for the severity.
    for (const { fields } of events) for (const name of ["level", "time", "event"]) equal(name in fields, false);
  });
});

describe("requests in the log", () => {
  it("are told at debug when they were served or left", () => {
    equal(accessEvent(record).level, "debug");
    equal(accessEvent(record).event, "request served");
    equal(accessEvent({ ...record, outcome: "abandoned", status: 499 }).level, "debug");
  });

  it("are told as warnings when they were refused or failed, with the reason and without the engine's output", () => {
    const refused = accessEvent({ ...record, outcome: "refused", status: 503, failure: broken });
    deepEqual(refused, {
      level: "warn",
      event: "request refused",
      fields: {
        request_id: "r1",
        method: "POST",
        route: "/v1/completions",
        model: "a",
        status: 503,
        duration_ms: 12.3,
        waited_ms: 0,
        bytes_in: 10,
        bytes_out: 20,
        code: "wake_failed",
        reason: "out of memory",
      },
    });
    equal(accessEvent({ ...record, outcome: "failed", status: 502, failure: broken }).event, "request failed");
  });

  it("are told as warnings, too, when they were none that could be read", () => {
    const unread = { ...record, method: null, route: null, model: null, status: 400, outcome: "refused" } as const;
    const { level, event: name, fields } = accessEvent({ ...unread, failure: broken });
    deepEqual(
      [level, name, fields["method"], fields["route"], fields["model"]],
      ["warn", "request refused", null, null, null],
    );
    deepEqual([fields["status"], fields["code"], fields["bytes_in"]], [400, "wake_failed", 10]);
  });
});

it("entries and records go to the log at their level", () => {
  const written: string[] = [];
  const at = (level: string) => (name: string) => void written.push(`${level}: ${name}`);
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  logJournal(log, { kind: "shutdown ended", atMs: 0 });
  logAccess(log, { ...record, outcome: "failed" });
  deepEqual(written, ["info: shutdown ended", "warn: request failed"]);
});

it("what is always debug is not made for a log that has no ear for it", () => {
  const written: string[] = [];
  const at = (level: string) => (name: string) => void written.push(`${level}: ${name}`);
  const log: Log = { debugs: false, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  logJournal(log, { kind: "request granted", atMs: 0, model: "a", waiter: 1, waitedMs: 0 });
  logAccess(log, record);
  deepEqual(written, []);
  logAccess(log, { ...record, outcome: "refused" });
  logJournal(log, { kind: "shutdown ended", atMs: 0 });
  deepEqual(written, ["warn: request refused", "info: shutdown ended"]);
});
