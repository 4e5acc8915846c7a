/** What llmux has learnt outlives it: a restart remembers what switches cost. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { switchCostFile } from "../../src/base/state-files.ts";
import type { SwitchCostEntry } from "../../src/core/switch-cost.ts";
import { until } from "../support/until.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED } from "./support/sized-model.ts";
import type { Stage } from "./support/stage.ts";

const setup = { policy: BOUNDED, models: { a: { mock: { wake_ms: 300 } }, b: { mock: { wake_ms: 300 } } } } as const;

function remembered(stage: Stage): readonly SwitchCostEntry[] {
  const { costs } = JSON.parse(readFileSync(switchCostFile(stage.stateDir), "utf8")) as { costs: SwitchCostEntry[] };
  return costs;
}

function costMs(stage: Stage, from: string, to: string, level: 1 | 2 | 3): number {
  const entry = remembered(stage).find((one) => one.from === from && one.to === to && one.level === level);
  assert.ok(entry !== undefined, `nothing is remembered of ${from} → ${to} from level ${level}`);
  return entry.costMs;
}

scenario("what switches have cost is remembered from run to run, and goes on being averaged", setup, async (stage) => {
  await serves(stage, "a", "b", "a", "b");
  assert.deepEqual(await stage.llmux.end("SIGTERM"), { code: 0, signal: null });
  const before = costMs(stage, "a", "b", 1);
  assert.ok(before >= 300, `${before} ms for a wake of 300 ms`);
  assert.ok(costMs(stage, "idle", "a", 3) > 0);

  await stage.start();
  await serves(stage, "a", "b", "a", "b");
  await stage.llmux.end("SIGTERM");
  const newest = stage.log.all("switch ended", { from: "a", to: "b" }).at(-1)?.["duration_ms"];
  const after = costMs(stage, "a", "b", 1);
  // Three tenths of the newest, seven of what was: not the newest alone, as in a run that remembers nothing.
  assert.ok(Math.abs(after - (0.7 * before + 0.3 * Number(newest))) < 2, `${before}, ${String(newest)} → ${after}`);
});

scenario(
  "what a former run has measured is what the policy goes by from the first request on",
  { policy: BOUNDED, models: { a: { mock: { itl_ms: 20 } }, b: {} }, costs: { b: { startMs: 400, wakeMs: 50 } } },
  async (stage) => {
    // Without it a start would be taken for 30 s, and a model that is in use would stay for as long as that.
    const stream = await stage.client.stream("a", { tokens: 30_000 });
    await stream.begun();
    const forB = stage.client.ask("b");
    const { time } = await stage.log.until("switch started", { from: "a", to: "b" });
    const awakeAt = Date.parse((await stage.log.until("model awake", { model: "a" })).time);
    assert.ok(Date.parse(time) - awakeAt >= 3 * 400 - 100, "it stays for three switches");
    stream.leave();
    assert.equal((await forB).status, 200);
  },
);

scenario("after a kill -9 what was measured until shortly before is remembered", setup, async (stage) => {
  await serves(stage, "a", "b", "a");
  await until("it is written down", () => existsSync(switchCostFile(stage.stateDir)));
  await stage.llmux.end("SIGKILL");
  const before = costMs(stage, "a", "b", 3);
  await stage.start();
  await serves(stage, "a", "b");
  await stage.llmux.end("SIGTERM");
  assert.notEqual(costMs(stage, "a", "b", 3), before);
  assert.ok(costMs(stage, "b", "a", 1) >= 300, "it is still there");
});

scenario(
  "a file of switch costs that makes no sense is reported, and costs nothing but the figures",
  { ...setup, start: false },
  async (stage) => {
    mkdirSync(stage.stateDir, { recursive: true, mode: 0o700 });
    writeFileSync(switchCostFile(stage.stateDir), '{"version":1,"costs":[{"from":"a"');
    await stage.start();
    await stage.log.until("switch costs not read", { file: switchCostFile(stage.stateDir) });
    await serves(stage, "a", "b");
    await stage.llmux.end("SIGTERM");
    assert.ok(costMs(stage, "a", "b", 3) > 0);
  },
);

scenario(
  "what is remembered of models that are not configured any more is no obstacle",
  { ...setup, costs: { gone: { startMs: 1_000, wakeMs: 100 } } },
  async (stage) => {
    assert.deepEqual(stage.log.all("switch costs not read"), []);
    await serves(stage, "a", "b", "a");
  },
);
