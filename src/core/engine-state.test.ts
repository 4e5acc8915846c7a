/** The table of moves, each one said twice: here and in the code. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertMove, inTransition, isResident, type EngineState, type EngineStateKind } from "./engine-state.ts";
import { failure } from "../base/failure.ts";

const STATES: readonly EngineState[] = [
  { kind: "stopped" },
  { kind: "starting" },
  { kind: "awake" },
  { kind: "draining", to: 1 },
  { kind: "falling asleep", to: 1 },
  { kind: "asleep", level: 1 },
  { kind: "waking", from: 1 },
  { kind: "stopping", because: null },
  { kind: "failed", failure: failure("wake_failed", "out of memory"), retryAtMs: 0 },
];

/** Every move there is, with its occasion. */
const MOVES: readonly (readonly [EngineStateKind, EngineStateKind, string])[] = [
  ["stopped", "starting", "it is wanted"],
  ["failed", "starting", "it is wanted and its backoff is over"],
  ["starting", "awake", "it is healthy"],
  ["starting", "stopping", "the start failed or was broken off"],
  ["awake", "draining", "it must make room"],
  ["awake", "stopping", "it crashed"],
  ["draining", "awake", "the drain is called off"],
  ["draining", "draining", "a shutdown makes it end in a stop"],
  ["draining", "falling asleep", "no lease is out"],
  ["draining", "stopping", "no lease is out and its level is 3, or it crashed"],
  ["falling asleep", "asleep", "its memory is free"],
  ["falling asleep", "stopping", "the sleep failed, or it crashed"],
  ["asleep", "waking", "it is wanted"],
  ["asleep", "stopping", "an operator or a shutdown stops it, or it crashed"],
  ["waking", "awake", "it is healthy"],
  ["waking", "asleep", "too little memory was free, and it sleeps on"],
  ["waking", "stopping", "the wake failed or was broken off"],
  ["stopping", "stopped", "no process is left"],
  ["stopping", "failed", "no process is left and a backoff lasts"],
];

describe("an engine", () => {
  for (const { kind: from } of STATES) {
    for (const { kind: to } of STATES) {
      const move = MOVES.find((row) => row[0] === from && row[1] === to);
      if (move !== undefined) {
        it(`goes from ${from} to ${to} when ${move[2]}`, () => assert.doesNotThrow(() => assertMove("m", from, to)));
      } else {
        it(`never goes from ${from} to ${to}`, () => {
          assert.throws(
            () => assertMove("m", from, to),
            new RegExp(`m: an engine cannot go from "${from}" to "${to}"`),
          );
        });
      }
    }
  }

  it("holds all its memory while awake or draining, and its memory changes on the way there and back", () => {
    assert.deepEqual(kindsOf(STATES.filter(isResident)), ["awake", "draining"]);
    assert.deepEqual(kindsOf(STATES.filter(inTransition)), ["starting", "falling asleep", "waking", "stopping"]);
  });
});

function kindsOf(states: readonly EngineState[]): EngineStateKind[] {
  return states.map(({ kind }) => kind);
}
