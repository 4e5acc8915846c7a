import { equal } from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelStatus, StatusDocument } from "../control/status.ts";
import { renderStatus, stateText } from "./ps-table.ts";

const stopped: ModelStatus = {
  id: "qwen-14b",
  state: "stopped",
  level: null,
  reason: null,
  retry_in_s: null,
  since: "2026-01-01T00:00:00.000Z",
  for_s: 192,
  progress: null,
  waiting: 0,
  oldest_wait_s: null,
  in_flight: 0,
  pid: null,
  port: null,
  process_started_at: null,
  devices: ["0"],
  sleep_level: 1,
  failures_in_row: 0,
  last_failure: null,
  log_file: "/x",
};

const status: StatusDocument = {
  version: "1.2.3",
  pid: 42,
  started_at: "2026-01-01T00:00:00.000Z",
  uptime_s: 3_600,
  state: "active",
  summary: "active llama",
  active: ["llama"],
  switches: [],
  models: [
    { ...stopped, waiting: 3, oldest_wait_s: 12 },
    { ...stopped, id: "llama", state: "awake", in_flight: 2, pid: 77, port: 8001, devices: ["0", "1"] },
  ],
};

describe("the state of a model in words", () => {
  it("says how far a start has come", () => {
    equal(stateText({ ...stopped, state: "starting" }), "starting");
    const loading = { stage: "loading weights", percent: 49.6 };
    equal(stateText({ ...stopped, state: "starting", progress: loading }), "starting, loading weights 50 %");
    const compiling = { stage: "compiling", percent: null };
    equal(stateText({ ...stopped, state: "starting", progress: compiling }), "starting, compiling");
  });

  it("says how deep a model sleeps", () => {
    equal(stateText({ ...stopped, state: "asleep", level: 2 }), "asleep (level 2)");
    equal(stateText({ ...stopped, state: "falling asleep", level: 2 }), "falling asleep");
  });

  it("says when a model that failed is tried again", () => {
    const failed = { ...stopped, state: "failed", reason: "out of memory" } as const;
    equal(stateText({ ...failed, retry_in_s: 4 }), "failed, next try in 4s");
    equal(stateText({ ...failed, retry_in_s: 0 }), "failed, next try when asked for");
    equal(stateText({ ...stopped, state: "stopping" }), "stopping");
  });
});

describe("the table of models", () => {
  it("has a line about the whole and a line a model", () => {
    equal(
      renderStatus(status, null),
      [
        "llmux 1.2.3, pid 42, up 1h00m: active llama",
        "MODEL     STATE    SINCE  QUEUE    IN FLIGHT  PID  PORT  GPUS",
        "qwen-14b  stopped  3m12s  3 (12s)  0          -    -     0",
        "llama     awake    3m12s  0        2          77   8001  0,1",
        "",
      ].join("\n"),
    );
  });

  it("fits a terminal of 80 columns when a model has a long name and a long story", () => {
    const model = { ...stopped, id: "n".repeat(60), state: "failed", reason: "r".repeat(500), retry_in_s: 4 } as const;
    const table = renderStatus({ ...status, models: [model] }, 80);
    for (const line of table.split("\n")) equal(line.length <= 80, true, line);
    equal(table.includes("failed, next"), true, table);
    equal(table.replaceAll(/\s/g, "").includes("r".repeat(500)), true);
  });

  it("tells below what went wrong, and what did last as long as the model has not served since", () => {
    const last_failure = { code: "engine_crashed", message: "the engine was ended by SIGKILL", last_output: [] };
    const [first] = status.models;
    const models = [
      { ...stopped, id: "broken", state: "failed", reason: "out of\nmemory", retry_in_s: 4 } as const,
      { ...stopped, id: "fell", failures_in_row: 1, last_failure },
      { ...stopped, id: "recovered", failures_in_row: 0, last_failure },
      ...(first === undefined ? [] : [first]),
    ];
    const [, story] = renderStatus({ ...status, models }, null).split("\n\n");
    equal(story, "broken: out of memory\nfell: last failure: the engine was ended by SIGKILL\n");
  });
});
