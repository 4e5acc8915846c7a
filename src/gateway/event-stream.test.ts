import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { failure } from "../base/failure.ts";
import { errorEvent, errorEventOf, isEventStream } from "./event-stream.ts";

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

/** Reads a stream as the specification has it: the data of its events, in order. */
function eventsOf(stream: Buffer): string[] {
  const events: string[] = [];
  let data: string[] = [];
  for (const line of stream.toString().split(/\r\n|\n|\r/)) {
    if (line === "") {
      if (data.length > 0) events.push(data.join("\n"));
      data = [];
    } else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return events;
}

test("A stream that is cut at any byte ends with the error event, and what was whole before stays whole", () => {
  const lineEnd = fc.constantFrom("\n", "\r\n");
  const one = fc.tuple(
    fc.string({ unit: "grapheme" }).map((text) => JSON.stringify({ text })),
    lineEnd,
    fc.boolean(),
  );
  fc.assert(
    fc.property(fc.array(one), fc.nat(), fc.constantFrom("openai", "anthropic"), (events, place, dialect) => {
      const whole = Buffer.from(
        events.map(([data, end, named]) => `${named ? `event: x${end}` : ""}data: ${data}${end}${end}`).join(""),
      );
      const before = whole.subarray(0, place % (whole.length + 1));
      const lastByte = before.at(-1) ?? 0;
      const heard = eventsOf(Buffer.concat([before, Buffer.from(errorEvent(reason, dialect, "r", lastByte))]));
      assert.equal(JSON.parse(heard.at(-1) ?? "").error.message, reason.message);
      const complete = eventsOf(before);
      assert.deepEqual(heard.slice(0, complete.length), complete);
      assert.ok(heard.length <= complete.length + 2);
    }),
    { numRuns: 500 },
  );
});

test("An engine's error object becomes one event on one line, and nothing else does", () => {
  assert.equal(
    errorEventOf(Buffer.from('{\n "error": {"message": "a\\nb"}\n}'), "openai"),
    'data: {"error":{"message":"a\\nb"}}\n\n',
  );
  assert.match(
    errorEventOf(Buffer.from('{"type":"error","error":{}}'), "anthropic") ?? "",
    /^event: error\ndata: .*\n\n$/,
  );
  for (const body of ["", "null", "[]", "{}", '"error"', '{"error"', "\xff"])
    assert.equal(errorEventOf(Buffer.from(body), "openai"), null);
});

test("Anthropic's error event has a name", () => {
  const lines = errorEvent(reason, "anthropic", "r", 10).trim().split("\n");
  assert.equal(lines.length, 2);
  assert.equal(lines[0], "event: error");
});
