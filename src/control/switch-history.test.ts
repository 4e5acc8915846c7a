import { deepEqual, equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "../base/failure.ts";
import type { JournalEvent } from "../core/journal.ts";
import { type RecordedSwitch, SWITCHES_KEPT, SwitchHistory } from "./switch-history.ts";

function historyOf(...events: readonly (readonly [atMs: number, event: JournalEvent])[]): SwitchHistory {
  const history = new SwitchHistory();
  for (const [atMs, event] of events) history.record({ ...event, atMs });
  return history;
}

const started = (from: readonly string[], to: string): JournalEvent => {
  return { kind: "switch started", from, to, because: `${to} waits`, compared: [] };
};
const ended = (from: readonly string[], to: string): JournalEvent => {
  return { kind: "switch ended", from, to, durationMs: 1, costAverageMs: 1 };
};

function only(history: SwitchHistory): RecordedSwitch | undefined {
  equal(history.all.length, 1);
  return history.all[0];
}

describe("the history of switches", () => {
  it("has of each one why it began, how long its drain took and when it ended", () => {
    const compared = [{ model: "b", weighed: "3 wait", keptBy: null }];
    const history = historyOf(
      [100, { kind: "switch started", from: ["a"], to: "b", because: "it waits", compared }],
      [150, { kind: "drain ended", from: ["a"], to: "b", drainMs: 50 }],
      [300, ended(["a"], "b")],
    );
    deepEqual(only(history), {
      atMs: 100,
      because: "it waits",
      compared,
      from: ["a"],
      to: "b",
      before: null,
      drainMs: 50,
      suspended: [],
      retried: null,
      end: { kind: "done", atMs: 300 },
    });
  });

  it("tells one that was redirected under the model that came, and which it was to be", () => {
    const history = historyOf(
      [0, started(["a", "x"], "b")],
      [50, { kind: "switch redirected", from: ["a"], before: "b", to: "c" }],
      [50, { kind: "drain ended", from: ["a"], to: "c", drainMs: 50 }],
      [60, started([], "b")],
      [90, ended(["a"], "c")],
    );
    const [first, second] = history.all;
    deepEqual([first?.before, first?.to, first?.from, first?.end?.kind], ["b", "c", ["a"], "done"]);
    deepEqual([second?.to, second?.end], ["b", null]);
  });

  it("knows whose requests stand still for it", () => {
    const history = historyOf(
      [0, started(["a"], "b")],
      [0, started(["x"], "y")],
      [5, { kind: "requests suspended", model: "x", requests: 4 }],
    );
    deepEqual(
      history.all.map(({ suspended }) => suspended),
      [[], [{ model: "x", requests: 4 }]],
    );
  });

  it("knows who had to go besides, and does not take the second drain for the first", () => {
    const noMemory = failure("out_of_memory", "2 GiB are missing");
    const history = historyOf(
      [0, started(["a"], "b")],
      [5, { kind: "drain ended", from: ["a"], to: "b", drainMs: 5 }],
      [9, { kind: "wake retried", model: "b", evicting: "x", failure: noMemory }],
      [12, { kind: "drain ended", from: ["a", "x"], to: "b", drainMs: 12 }],
      [20, ended(["a", "x"], "b")],
    );
    const change = only(history);
    deepEqual(
      [change?.retried, change?.drainMs, change?.from],
      [{ evicting: "x", message: "2 GiB are missing" }, 5, ["a", "x"]],
    );
  });

  it("says why one failed or was cancelled", () => {
    const history = historyOf(
      [0, started([], "a")],
      [5, { kind: "switch failed", from: [], to: "a", durationMs: 5, failure: failure("wake_failed", "it hangs") }],
      [6, started([], "a")],
      [7, { kind: "switch cancelled", from: [], to: "a", because: "nobody waits" }],
    );
    deepEqual(
      history.all.map(({ end }) => end),
      [
        { kind: "failed", atMs: 5, message: "it hangs" },
        { kind: "cancelled", atMs: 7, message: "nobody waits" },
      ],
    );
  });

  it("knows which are under way, by who comes and by who goes", () => {
    const history = historyOf([0, started(["a"], "b")], [0, started(["x"], "y")], [5, ended(["a"], "b")]);
    equal(history.bringing("b"), null);
    equal(history.removing("a"), null);
    equal(history.bringing("y")?.to, "y");
    equal(history.removing("x")?.to, "y");
    equal(history.newest?.to, "y");
  });

  it("forgets the oldest ones when there are too many", () => {
    const history = new SwitchHistory();
    for (let atMs = 0; atMs < SWITCHES_KEPT + 5; atMs += 1) {
      history.record({ ...started([], "a"), atMs });
      history.record({ ...ended([], "a"), atMs });
    }
    deepEqual([history.all.length, history.all[0]?.atMs, history.newest], [SWITCHES_KEPT, 5, null]);
  });
});
