/** Trouble that these histories have found and that is there still, each with a small scenario that shows it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { quiet } from "./quiet-scenario.ts";
import { simulateApp } from "./simulate-app.ts";

const todo =
  "a request that is sent again begins a new interval, and nobody beats while it waits for the news of a crash";

test(
  "a client that waits for its stream hears something in each interval, also when its engine breaks",
  { todo },
  async () => {
    const scenario = quiet();
    const faults = [{ kind: "request", client: 1, nth: 1, does: "refuses the connection" }] as const;
    const { broken } = await simulateApp({ ...scenario, faults }, { isStrict: true });
    assert.equal(broken, null);
  },
);
