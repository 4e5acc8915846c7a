import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../base/failure.ts";
import { errorEvent, isEventStream } from "./event-stream.ts";

const reason = failure("engine_crashed", "gone\nwith a line break");

test("Event streams are known by their content type alone", () => {
  for (const yes of ["text/event-stream", "text/event-stream; charset=utf-8", " Text/Event-Stream ;x"]) {
    assert.ok(isEventStream(yes), yes);
  }
  for (const no of [undefined, "", "application/json", "text/event-streams", "x-text/event-stream"]) {
    assert.ok(!isEventStream(no), String(no));
  }
});

test("The error event is an event of its own, wherever the stream broke off", () => {
  for (const before of ["data: 1\n\n", "data: 1\n", 'data: {"hal', "data: 1\r\n\r\n", ": comment\n\n", "x"]) {
    const text = before + errorEvent(reason, "openai", "r", before.charCodeAt(before.length - 1));
    const last = text.split(/\r?\n\r?\n/).findLast((event) => event.trim() !== "") ?? "";
    const lines = last.split("\n").filter((line) => line !== "");
    assert.equal(lines.length, 1, before);
    assert.equal(JSON.parse((lines[0] ?? "").replace("data: ", "")).error.message, reason.message);
    assert.ok(text.endsWith("\n\n"));
  }
});

test("Anthropic's error event has a name", () => {
  const lines = errorEvent(reason, "anthropic", "r", 10).trim().split("\n");
  assert.equal(lines.length, 2);
  assert.equal(lines[0], "event: error");
});
