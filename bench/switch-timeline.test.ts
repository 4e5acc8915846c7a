import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "./chat.ts";
import { CHAT_PATH, type EngineEvent } from "./engine-events.ts";
import { switchTimelines } from "./switch-timeline.ts";

function answer(model: string, sentAtMs: number, lastByteAtMs: number): Answer {
  return { model, sentAtMs, lastByteAtMs, body: "" };
}

function event(engine: string, name: string, atMs: number): EngineEvent {
  return { engine, event: name, atMs, ...(/byte|request/.test(name) ? { path: CHAT_PATH } : {}) };
}

/** One request to each of two models; the second was sent while the first was running. */
const answers = [answer("a", 0, 101), answer("b", 50, 300)];
const events = [
  event("a", "request received", 1),
  event("a", "last byte sent", 100),
  event("a", "sleep received", 102),
  event("a", "sleep done", 152),
  event("b", "wake received", 153),
  event("b", "wake done", 193),
  event("b", "request received", 197),
  event("b", "last byte sent", 299),
];

function without(name: string): EngineEvent[] {
  return events.filter((one) => one.event !== name);
}

test("what the engines do themselves is no overhead, and everything between is", () => {
  const [timeline] = switchTimelines(answers, events);
  assert.deepEqual(timeline?.gaps, [
    { name: "last byte → sleep", ms: 2 },
    { name: "sleep → wake", ms: 1 },
    { name: "wake → request", ms: 4 },
  ]);
  assert.equal(timeline.overheadMs, 7);
  assert.equal(timeline.engineMs, 90);
});

test("a request that was sent after the old model's last byte is not waited for before it was sent", () => {
  const [timeline] = switchTimelines([answer("a", 0, 100.5), answer("b", 101, 300)], events);
  assert.deepEqual(timeline?.gaps[0], { name: "last byte → sleep", ms: 1 });
});

test("the order in which the engines were asked for their events does not matter", () => {
  assert.deepEqual(switchTimelines(answers, events.toReversed()), switchTimelines(answers, events));
});

test("events that are missing are an error and not a fast switch", () => {
  assert.throws(() => switchTimelines(answers, without("sleep done")), /fell asleep/);
  assert.throws(() => switchTimelines(answers, without("request received")), /does not remember/);
});

test("clocks that do not agree are an error", () => {
  assert.throws(() => switchTimelines([answer("a", 2, 101), answer("b", 50, 300)], events), /clocks/);
});
