import { equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import type { StatusDocument } from "../control/status.ts";
import { exampleModel, exampleStatus } from "../control/testing/example-status.ts";
import { renderStatus, stateText } from "./ps-table.ts";

const GIB = 1024 ** 3;

const stopped = exampleModel({
  id: "qwen-14b",
  state: "stopped",
  level: null,
  for_s: 192,
  pid: null,
  port: null,
  memory: { need_bytes: null, residue_bytes: GIB, host_bytes: null },
});

const status = exampleStatus({
  version: "1.2.3",
  uptime_s: 3_600,
  state: "active",
  summary: "active llama",
  active: ["llama"],
  models: [
    { ...stopped, waiting: 3, oldest_wait_s: 12 },
    exampleModel({ id: "llama", state: "awake", level: null, for_s: 192, in_flight: 2, devices: ["0", "1"] }),
  ],
});

/** What is said of memory while a model is awake whose need is not known. */
function memoryLine(gpus: StatusDocument["gpus"], budget_bytes: number | null = null): string | undefined {
  const models = [exampleModel({ state: "awake", memory: { need_bytes: null, residue_bytes: 0, host_bytes: null } })];
  const host_memory_for_sleep = { budget_bytes, used_bytes: 0 };
  return renderStatus({ ...status, gpus, models, host_memory_for_sleep }, null).split("\n")[1];
}

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
  it("has a line about the whole, one about memory, and a line a model", () => {
    equal(
      renderStatus(status, null),
      [
        "llmux 1.2.3, pid 42, up 1h00m: active llama",
        "GPU 0: 1 GiB of 8 GiB; asleep in host memory: 4 GiB of 64 GiB",
        "MODEL     STATE    SINCE  QUEUE    IN FLIGHT  WAIT MAX  GPUS  NEED   PID  PORT",
        "qwen-14b  stopped  3m12s  3 (12s)  0          34s       0     ?      -    -",
        "llama     awake    3m12s  0        2          34s       0,1   6 GiB  77   8001",
        "",
      ].join("\n"),
    );
  });

  it("leaves out processes and ports where the terminal is too narrow for all of it", () => {
    const [, , head] = renderStatus(status, 70).split("\n");
    equal(head, "MODEL     STATE    SINCE  QUEUE    IN FLIGHT  WAIT MAX  GPUS  NEED");
  });

  it("says of a model what sets it apart from most", () => {
    const models = [
      exampleModel({ pinned: true, state: "awake" }),
      exampleModel({ priority: "low", in_flight: 3, suspended: 3 }),
      exampleModel({ pinned: true, priority: "high", state: "awake" }),
    ];
    const [, , , ...rows] = renderStatus({ ...status, models }, null).split("\n");
    match(rows[0] ?? "", /^qwen +awake, pinned +5s +0 +0 /);
    match(rows[1] ?? "", /^qwen +asleep \(level 1\), low priority +5s +0 +3 suspended /);
    match(rows[2] ?? "", /^qwen +awake, pinned, high priority +5s /);
  });

  it("says that no bound is promised, why, and what ends a wait instead", () => {
    const models = [exampleModel({ wait_bound_s: null, waits_at_most_s: 60 })];
    const text = renderStatus({ ...status, models, no_bound_because: "drains have no limit" }, null);
    match(text, /^qwen +asleep \(level 1\) +5s +0 +0 +no bound +0 /m);
    match(text, /\n\nno bound on waiting: drains have no limit; a request that has waited 1m00s gets 504\n$/);
  });

  it("says of GPU memory as much as is known", () => {
    equal(
      memoryLine([
        { id: "0", memory_bytes: 8 * GIB, used_bytes: GIB },
        { id: "1", memory_bytes: 8 * GIB, used_bytes: 0 },
      ]),
      "GPU 0: at least 1 GiB of 8 GiB, GPU 1: 0 B of 8 GiB; asleep in host memory: 0 B",
    );
    equal(
      memoryLine([{ id: "0", memory_bytes: null, used_bytes: 0 }], GIB),
      "GPU memory: size not known, so each GPU has one model awake at a time; asleep in host memory: 0 B of 1 GiB",
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
