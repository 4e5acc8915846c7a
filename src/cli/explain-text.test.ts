import { equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelExplanation, SwitchExplanation } from "../control/explanation.ts";
import { exampleExplanation, explainedModel, explainedSwitch } from "../control/testing/example-explanation.ts";
import { renderExplanation } from "./explain-text.ts";

const qwen = explainedModel("qwen", {
  waiting: 4,
  oldest_wait_s: 3,
  weighed:
    "4 wait, the oldest for 3.0 s; the switch costs 0.4 s and its visit lasts about 0.7 s: worth 3.7 requests a second",
  kept_by: "gemma is in use and may stay for another 1.1 s",
});
const gemma = explainedModel("gemma", {
  state: "awake",
  level: null,
  in_flight: 2,
  why: "brought up: nobody uses qwen",
});

function told(change: Partial<SwitchExplanation>, model: string | null = null): string {
  const text = renderExplanation(exampleExplanation({ switches: [explainedSwitch(change)] }), model, null);
  return text.slice(text.indexOf("Switches"));
}

function portrait(extra: Partial<ModelExplanation>): string {
  return renderExplanation(exampleExplanation({ models: [{ ...qwen, ...extra }], switches: [] }), "qwen", null);
}

describe("an explanation of everything", () => {
  it("tells who is awake, who waits and for what, and the last switches", () => {
    const document = exampleExplanation({ models: [qwen, gemma], waiting: ["qwen"] });
    equal(
      renderExplanation(document, null, 80),
      [
        "Awake:",
        "  gemma for 12s, 2 in flight",
        "    brought up: nobody uses qwen",
        "",
        "Waiting, the next turn first:",
        "  qwen, asleep (level 1) for 12s",
        "    weighed: 4 wait, the oldest for 3.0 s; the switch costs 0.4 s and its visit",
        "      lasts about 0.7 s: worth 3.7 requests a second",
        "    kept by: gemma is in use and may stay for another 1.1 s",
        "",
        "Switches, the newest last:",
        "  14s ago: qwen → gemma, done in 2s, 500ms of it drain",
        "    because nobody uses qwen",
        "",
      ].join("\n"),
    );
  });

  it("says so when nobody is awake, nobody waits, and nothing has happened", () => {
    const text = renderExplanation(exampleExplanation({ models: [], switches: [] }), null, 80);
    equal(text, "No model is awake.\n\nNobody waits for another model.\n");
  });

  it("tells of one on its way what it waits for, and of one whom nothing keeps that nothing does", () => {
    const coming = explainedModel("a", {
      state: "waking",
      waiting: 1,
      oldest_wait_s: 2,
      kept_by: "the switch to it is under way: its engine is waking",
    });
    const next = explainedModel("b", {
      state: "stopped",
      level: null,
      waiting: 1,
      oldest_wait_s: 2,
      weighed: "1 waits",
    });
    const text = renderExplanation(
      exampleExplanation({ models: [coming, next], waiting: ["a", "b"], switches: [] }),
      null,
      80,
    );
    match(text, /\n {2}a, waking for 12s; 1 waits, for 2s\n {4}kept by: the switch to it is under way: its engine/);
    match(
      text,
      /\n {2}b, stopped for 12s\n {4}weighed: 1 waits\n {4}kept by: nothing: it comes as soon as it is its turn\n/,
    );
  });

  it("fits every terminal", () => {
    const compared = [{ model: "m".repeat(70), weighed: "w ".repeat(100), kept_by: "k".repeat(100) }];
    const document = exampleExplanation({
      models: [qwen, gemma],
      waiting: ["qwen"],
      switches: [explainedSwitch({ compared, outcome: "failed", reason: "r".repeat(300) })],
    });
    for (const width of [20, 80, 132]) {
      for (const model of [null, "qwen"]) {
        for (const line of renderExplanation(document, model, width).split("\n")) {
          equal(Array.from(line).length <= width, true, `${width}: ${line}`);
        }
      }
    }
  });
});

describe("an explanation of one model", () => {
  it("says why it is where it is although nobody waits for it", () => {
    equal(
      portrait({ waiting: 0, oldest_wait_s: null, weighed: null, kept_by: null }),
      [
        "qwen: asleep (level 1) for 12s, nobody waits for it",
        "  put to sleep to make room for gemma",
        "  a request that comes now waits at most 34s, while nothing fails",
        "",
      ].join("\n"),
    );
  });

  it("says what keeps those who wait", () => {
    match(
      portrait({}),
      /^qwen: asleep \(level 1\) for 12s\n {2}put .*\n {2}weighed: 4 wait,.*\n {2}kept by: gemma is /,
    );
    const still = portrait({ suspended: 2, in_flight: 2, waiting: 0, kept_by: null, weighed: "2 wait" });
    match(still, /^qwen: asleep \(level 1\) with 2 suspended for 12s\n.*\n.*\n {2}kept by: nothing: it comes/);
  });

  it("tells the policy's promise from the request timeout", () => {
    match(portrait({ wait_bound_s: 250 }), /a request that has waited 1m00s gets 504; it would wait at most 4m10s\n/);
    match(portrait({ wait_bound_s: null }), /there is no bound on waiting: a request that has waited 1m00s gets 504\n/);
  });
});

describe("a switch in words", () => {
  it("has its outcome, and what led to it", () => {
    match(told({ outcome: "under way" }), /: qwen → gemma, under way for 2s, 500ms of it drain\n/);
    match(told({ outcome: "failed", reason: "it hangs" }), /: qwen → gemma, failed after 2s: it hangs\n/);
    match(told({ outcome: "cancelled", reason: "nobody waits" }), /, cancelled after 2s: nobody waits\n/);
    match(told({ from: [], drain_s: 0 }), /: → gemma, done in 2s\n/);
    match(told({ from: ["a", "b"] }), /: a, b → gemma, done/);
  });

  it("has what happened on the way", () => {
    match(told({ redirected_from: "phi" }), /\n {4}it was to be phi; after the drain gemma was worth more\n/);
    match(told({ suspended: [{ model: "qwen", requests: 3 }] }), /\n {4}qwen went with 3 of its requests suspended\n/);
    match(
      told({ retried: { evicting: "phi", reason: "1 GiB is missing" } }),
      /\n {4}too little memory for the wake, so phi had to go too: 1 GiB is missing\n/,
    );
  });

  it("has what was compared; where one model was asked about, that one beside the one that came", () => {
    const compared = [
      { model: "gemma", weighed: "4 wait", kept_by: null },
      { model: "phi", weighed: "2 wait", kept_by: "gemma comes first" },
      { model: "qwen", weighed: "1 waits", kept_by: null },
    ];
    const all = "    gemma: 4 wait\n    phi: 2 wait; kept by: gemma comes first\n    qwen: 1 waits\n";
    equal(told({ compared }).endsWith(all), true);
    equal(told({ compared }, "qwen").endsWith("uses qwen\n    gemma: 4 wait\n    qwen: 1 waits\n"), true);
  });
});
