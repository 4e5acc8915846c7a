/** Explanations of what the real scheduler does. */
import { deepEqual, equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "../base/failure.ts";
import { boundedWait } from "../core/policies/bounded-wait.ts";
import { SchedulerOnStage, type StageOptions } from "../core/testing/scheduler-on-stage.ts";
import { type ExplanationDocument, type ModelExplanation, takeExplanation } from "./explanation.ts";
import { ModelStories } from "./model-stories.ts";
import { SwitchHistory } from "./switch-history.ts";

class ExplainedStage extends SchedulerOnStage {
  readonly #history = new SwitchHistory();
  readonly #stories = new ModelStories(this.#history);
  #heard = 0;

  explain(model: string | null = null, last = 10): ExplanationDocument {
    this.#hear();
    const clock = { nowMs: () => this.nowMs, epochMs: () => this.nowMs, after: () => ({ cancel() {} }) };
    return takeExplanation(
      {
        snapshot: () => this.scheduler.snapshot(),
        verdicts: (nowMs) => this.scheduler.explain(nowMs),
        history: this.#history,
        stories: this.#stories,
        clock,
        promise: { policy: "bounded-wait", requestTimeoutMs: 60_000, noBoundBecause: null },
      },
      { model, last },
    );
  }

  explained(model: string): ModelExplanation {
    const found = this.explain(model).models[0];
    equal(found?.id, model);
    return found;
  }

  order(model: string, command: "sleep" | "stop"): void {
    this.#hear();
    this.#stories.duringOrder(model, () => {
      this.operator(model, command);
      this.#hear();
    });
  }

  #hear(): void {
    for (const entry of this.journal.slice(this.#heard)) {
      this.#history.record(entry);
      this.#stories.record(entry);
    }
    this.#heard = this.journal.length;
  }
}

const POLICY = boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000 });

function stage(models: StageOptions["models"] = { a: {}, b: {}, c: {} }): ExplainedStage {
  return new ExplainedStage({ models, policy: POLICY, drainTimeoutMs: 10_000 });
}

describe("why a model is where it is", () => {
  it("is told of one that was never asked for, is being started, and is awake", () => {
    const on = stage();
    equal(on.explained("a").why, "not started yet: nobody has asked for it");
    on.request("a", 1);
    equal(on.explained("a").why, "being brought up: nobody has to leave for it");
    equal(on.explained("a").kept_by, "the switch to it is under way: its engine is starting");
    on.pass(1_000).awake("a").pass(500);
    const { why, state, for_s, since, in_flight, kept_by } = on.explained("a");
    equal(why, "brought up: nobody has to leave for it");
    deepEqual([state, for_s, since, in_flight, kept_by], ["awake", 0.5, "1970-01-01T00:00:01.000Z", 1, null]);
  });

  it("is told of one that made room, with whom it is for", () => {
    const on = stage({ a: {}, b: {} });
    on.request("a", 1).awake("a").pass(60_000).request("b", 2).pass(30_000);
    equal(on.explained("a").state, "draining");
    equal(on.explained("a").why, "has to leave to make room for b when what runs on it has ended (1 in flight)");
    equal(on.explained("b").kept_by, "the switch to it is under way: requests that run must end before (1 of a)");
    on.release(1);
    equal(on.explained("a").why, "being put to sleep to make room for b");
    equal(on.explained("b").kept_by, "the switch to it is under way: a is falling asleep");
    on.asleep("a");
    equal(on.explained("a").why, "put to sleep to make room for b");
  });

  it("is an operator where one has put it away", () => {
    const on = stage();
    on.bringUp("a", 1);
    on.order("a", "sleep");
    equal(on.explained("a").why, "being put to sleep by an operator");
    on.asleep("a");
    equal(on.explained("a").why, "put to sleep by an operator");
    on.order("a", "stop");
    on.stopped("a");
    equal(on.explained("a").why, "its engine was stopped by an operator");
  });

  it("is that nobody was using it where nobody else is the reason", () => {
    const on = stage();
    on.bringUp("a", 1);
    // As when it has been idle for long: not in the name of an operator.
    on.operator("a", "sleep");
    on.asleep("a");
    equal(on.explained("a").why, "put to sleep since nobody was using it");
    on.operator("a", "stop");
    equal(on.explained("a").why, "its engine is being stopped while it was asleep, since nobody was using it");
  });

  it("is the failure where there was one, without secrets", () => {
    const on = stage();
    on.request("a", 1);
    on.scheduler.onWakeFailed("a", failure("start_failed", "API_KEY=abc is wrong"), on.nowMs);
    equal(on.explained("a").why, "its engine is being stopped after a failure: API_KEY=[redacted] is wrong");
    on.stopped("a");
    equal(on.explained("a").why, "it failed: API_KEY=[redacted] is wrong");
    equal(on.explain().switches[0]?.reason, "API_KEY=[redacted] is wrong");
  });

  it("says so when it is pinned", () => {
    const on = stage({ a: { pinned: true }, b: {} });
    on.bringUp("a", 1).request("b", 2);
    equal(on.explained("a").why, "brought up: nobody has to leave for it; it is pinned, so it stays awake");
    equal(on.explained("b").kept_by, "a is pinned, and not both can be awake");
  });
});

describe("what those who wait wait for", () => {
  it("is what the policy says, with what it has weighed", () => {
    const on = stage();
    on.request("a", 1).awake("a").request("b", 2, 3).pass(1_000);
    const { weighed, kept_by, waiting, oldest_wait_s, wait_bound_s } = on.explained("b");
    match(weighed ?? "", /^2 wait, the oldest for 1\.0 s; the switch costs /);
    match(kept_by ?? "", /^a is in use and may stay for another \d/);
    deepEqual([waiting, oldest_wait_s, typeof wait_bound_s], [2, 1, "number"]);
  });

  it("is a place where as many run as may at once", () => {
    const on = stage({ a: { inFlightMax: 1 } });
    on.request("a", 1).awake("a").request("a", 2);
    equal(on.explained("a").kept_by, "as many requests run on it as may at once (1)");
    deepEqual(on.explain().waiting, []);
  });

  it("comes in the order in which it would be their turn, after those that are on their way", () => {
    const on = stage({ a: {}, b: {}, c: {}, x: { devices: ["1"] } });
    on.request("a", 1).awake("a").request("b", 2).request("c", 3, 4, 5).request("x", 6).pass(100);
    deepEqual(on.explain().waiting, ["x", "c", "b"]);
  });
});

describe("the switches of an explanation", () => {
  const on = stage();
  on.request("a", 1).awake("a").release(1).pass(60_000).request("b", 2).asleep("a").pass(1_500).awake("b").pass(500);
  on.request("c", 3);
  const targets = (model: string | null, last = 10): readonly string[] =>
    on.explain(model, last).switches.map(({ to }) => to);

  it("say when, why, how long, and what was compared", () => {
    const { switches } = on.explain();
    deepEqual(
      switches.map(({ from, to, outcome }) => [from, to, outcome]),
      [
        [[], "a", "done"],
        [["a"], "b", "done"],
      ],
    );
    const [, second] = switches;
    const { compared = [], ...rest } = second ?? {};
    deepEqual(rest, {
      started_at: "1970-01-01T00:01:00.000Z",
      ago_s: 2,
      from: ["a"],
      to: "b",
      redirected_from: null,
      because: "nobody uses a",
      outcome: "done",
      reason: null,
      drain_s: 0,
      duration_s: 1.5,
      suspended: [],
      retried: null,
    });
    deepEqual(
      compared.map(({ model, kept_by }) => [model, kept_by]),
      [["b", null]],
    );
  });

  it("are as many as was asked for, the newest last", () => {
    deepEqual([targets(null, 0), targets(null, 1), targets(null, 9)], [[], ["b"], ["a", "b"]]);
  });

  it("are only those that concern a model, where one was named", () => {
    deepEqual([targets("a"), targets("b"), targets("c")], [["a", "b"], ["b"], []]);
    equal(on.explain("a").models.length, 1);
  });
});
