/** Engines that do not fall asleep or do not wake as they are told: what clients see, and that the next request works. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Reply } from "./support/client.ts";
import { scenario } from "./support/scenario.ts";
import type { Faults, Setup, Stage } from "./support/stage.ts";

/** After the first failed wake or start of a model, it is left alone for so long. */
const FIRST_BACKOFF_MS = 2_000;

const IMPATIENT: Setup = {
  engine_timeouts: { sleep_timeout_secs: 1, wake_timeout_secs: 1, reload_timeout_secs: 1 },
};

// ── sleep ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const SLEEP_FAULTS: readonly (readonly [string, Faults, RegExp])[] = [
  [
    "answers 500 to /sleep",
    { "sleep-error": { times: 1 } },
    /POST \/sleep\?level=1 answered 500: .*mock fault: sleep-error/,
  ],
  ["never answers /sleep", { "sleep-hang": { times: 1 } }, /POST \/sleep\?level=1: no answer within 1 s/],
  ["frees its memory and never answers /sleep", { "sleep-hang": { times: 1, value: "after" } }, /no answer within 1 s/],
  ["answers 200 to /sleep and frees nothing", { "sleep-frees-nothing": { times: 1 } }, /no GPU memory came free/],
];

for (const [what, faults, reason] of SLEEP_FAULTS) {
  scenario(
    `an engine that ${what} is stopped, and the other model's client notices nothing`,
    IMPATIENT,
    async (stage) => {
      const first = await stage.client.ask("a");
      stage.order("a", faults);
      assert.equal((await stage.client.ask("b")).status, 200);
      const { reason: told } = await stage.log.until("sleep failed", { model: "a" });
      assert.match(String(told), reason);
      assert.equal((await stage.model("a")).state, "stopped");
      const again = await stage.client.ask("a");
      assert.equal(again.status, 200);
      assert.equal(again.text, first.text);
    },
  );
}

scenario(
  "an engine whose core dies of /sleep is cleaned up, and the other model's client notices nothing",
  {
    models: { a: { mock: { dead_ms: 3_000 } }, b: {} },
  },
  async (stage) => {
    await stage.client.ask("a");
    stage.order("a", { "crash-engine-on-sleep": { times: 1 } });
    assert.equal((await stage.client.ask("b")).status, 200);
    await stage.log.until("sleep failed", { model: "a" });
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

// ── wake ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Leaves `b` awake and `a` asleep. */
async function putAToSleep({ client, log }: Stage): Promise<Reply> {
  const reply = await client.ask("a");
  await client.ask("b");
  await log.until("model asleep", { model: "a" });
  return reply;
}

interface WakeFault {
  readonly what: string;
  readonly faults: Faults;
  readonly level: 1 | 2;
  readonly reason: RegExp;
  /** What the client is told; "wake_failed" unless given. */
  readonly code?: string;
  readonly deadMs?: number;
}

const WAKE_FAULTS: readonly WakeFault[] = [
  {
    what: "finds no memory, not even when another one has made room,",
    faults: { "wake-oom": { times: 2 } },
    level: 1,
    reason: /answered 500: .*out of memory/,
    code: "out_of_memory",
  },
  {
    what: "answers 500 to /wake_up",
    faults: { "wake-error": { times: 1 } },
    level: 1,
    reason: /POST \/wake_up answered 500/,
  },
  { what: "never answers /wake_up", faults: { "wake-hang": { times: 1 } }, level: 1, reason: /no answer within 1 s/ },
  {
    what: "takes its memory and never answers /wake_up",
    faults: { "wake-hang": { times: 1, value: "after" } },
    level: 1,
    reason: /no answer within 1 s/,
  },
  {
    what: "cannot reload its weights",
    faults: { "reload-error": { times: 1 } },
    level: 2,
    reason: /collective_rpc answered 500/,
  },
  {
    what: "never ends the reload",
    faults: { "reload-hang": { times: 1 } },
    level: 2,
    reason: /collective_rpc: no answer within 1 s/,
  },
  {
    what: "loses its core while it wakes",
    faults: { "crash-engine-on-wake": { times: 1 } },
    level: 1,
    reason: /POST \/wake_up answered 500: EngineCore encountered an issue/,
    deadMs: 3_000,
  },
];

for (const { what, faults, level, reason, code = "wake_failed", deadMs = 20 } of WAKE_FAULTS) {
  const setup: Setup = { ...IMPATIENT, models: { a: { sleep_level: level, mock: { dead_ms: deadMs } }, b: {} } };
  scenario(
    `an engine that ${what} is stopped; its client is told why, and when to come again`,
    setup,
    async (stage) => {
      const first = await putAToSleep(stage);
      stage.order("a", faults);
      const refused = await stage.client.ask("a");
      assert.equal(refused.status, 503);
      assert.equal(refused.error?.code, code);
      assert.match(refused.error?.message ?? "", reason);
      assert.equal(refused.headers["retry-after"], "2");
      assert.equal((await stage.client.ask("b")).status, 200, "the other model is there at once");
      await pause(FIRST_BACKOFF_MS);
      const again = await stage.client.ask("a");
      assert.equal(again.status, 200);
      assert.equal(again.text, first.text);
    },
  );
}

scenario("a model that never wakes does not evict the healthy one while it is left alone", {}, async (stage) => {
  await putAToSleep(stage);
  stage.order("a", { "wake-oom": true });
  for (let round = 1; round <= 2; round += 1) {
    assert.equal((await stage.client.ask("a")).error?.code, "out_of_memory");
    assert.equal((await stage.client.ask("b")).status, 200);
    const since = stage.log.now;
    for (let request = 1; request <= 5; request += 1) {
      const refused = await stage.client.ask("a");
      assert.equal(refused.status, 503);
      assert.match(refused.error?.message ?? "", /out of memory/);
    }
    assert.deepEqual(stage.log.all("switch started", {}, since), []);
    assert.deepEqual((await stage.status()).active, ["b"]);
    await pause(FIRST_BACKOFF_MS);
    // It cannot wake, but it can be started.
    assert.equal((await stage.client.ask("a")).status, 200);
    assert.equal((await stage.client.ask("b")).status, 200);
  }
});

scenario(
  "a prefix cache that cannot be reset after a wake is logged, and the request is served",
  {
    models: { a: { sleep_level: 2 }, b: {} },
  },
  async (stage) => {
    const first = await putAToSleep(stage);
    stage.order("a", { "reset-cache-error": true });
    const again = await stage.client.ask("a");
    assert.equal(again.status, 200);
    assert.equal(again.text, first.text);
    await stage.log.until("optional engine call failed", { model: "a", path: "/reset_prefix_cache" });
  },
);
