import { equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { modelSnapshot } from "../core/testing/model-snapshot.ts";
import type { Departure } from "./model-stories.ts";
import type { RecordedSwitch } from "./switch-history.ts";
import { whyThere } from "./why.ts";

const toB: RecordedSwitch = {
  atMs: 0,
  because: "it waits",
  compared: [],
  from: ["a"],
  to: "b",
  before: null,
  drainMs: null,
  suspended: [],
  retried: null,
  end: null,
};

function asleepAt(level: 1 | 2, left: Departure, suspended = 0): string {
  const model = modelSnapshot("a", { state: { kind: "asleep", level }, sleepLevel: 1, suspended });
  return whyThere(model, { came: null, left });
}

describe("why a model sleeps as it does", () => {
  it("says that it sleeps deeper than it should where the host has no room", () => {
    equal(
      asleepAt(2, { kind: "room", for: toB }),
      "put to sleep to make room for b, at level 2 since there is no host memory left for level 1",
    );
    equal(asleepAt(1, { kind: "room", for: toB }), "put to sleep to make room for b");
  });

  it("says what stands still in it", () => {
    equal(asleepAt(1, { kind: "room", for: toB }, 1), "put to sleep to make room for b; 1 request stands still in it");
    equal(asleepAt(1, { kind: "room", for: toB }, 3), "put to sleep to make room for b; 3 requests stand still in it");
  });

  it("does not take a wake that is tried again for a sleep", () => {
    const model = modelSnapshot("b", { state: { kind: "asleep", level: 1 } });
    equal(whyThere(model, { came: toB, left: null }), "its wake is tried again with more room");
    equal(whyThere(model, { came: null, left: null }), "asleep from the beginning");
  });

  it("names the one that came in the end when the switch was redirected", () => {
    equal(asleepAt(1, { kind: "room", for: { ...toB, before: "b", to: "c" } }), "put to sleep to make room for c");
  });

  it("says that it is not asleep but stopped where there was no room for it asleep", () => {
    const left = { kind: "room", for: toB } as const;
    const why = (sleepLevel: 1 | 3): string => whyThere(modelSnapshot("a", { sleepLevel }), { came: null, left });
    equal(why(1), "its engine was stopped to make room for b, with no room for it asleep");
    equal(why(3), "its engine was stopped to make room for b");
  });

  it("says during which switch the engine of a sleeper was stopped", () => {
    const why = whyThere(modelSnapshot("a"), { came: null, left: { kind: "given up", during: toB } });
    equal(why, "its engine was stopped while it was asleep, in the switch to b");
  });
});
