/** Everything at once on two GPUs: several models awake, pins, preloads, budgets, suspended streams, and engines that are killed. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { dice } from "./support/dice.ts";
import { markedProcesses } from "./support/marked-processes.ts";
import { readParent } from "./support/parent-of.ts";
import { scenario } from "./support/scenario.ts";
import { BOUNDED, taking } from "./support/sized-model.ts";
import type { ModelSetup, Stage } from "./support/stage.ts";

const LASTS_MS = 8_000;
const SEED = 20;
const CLIENTS = 8;
const TOKENS = 60;

/** What a client may be told when engines die under it. */
const EXPECTED = new Set([200, 502, 503, 504, 429]);

const mock = { ttft_ms: 5, itl_ms: 5, load_ms: 100, sleep_ms: 20, wake_ms: 20, dead_ms: 50, weights: "2GiB" };

function model(share: number, keys: ModelSetup = {}): ModelSetup {
  return taking(share, { mock, ...keys });
}

const MODELS: Readonly<Record<string, ModelSetup>> = {
  pinned: model(0.2, { pin: true, gpus: [0] }),
  small: model(0.3, { suspend: true }),
  deep: model(0.3, { sleep_level: 2, suspend: true }),
  low: model(0.3, { priority: "low" }),
  large: model(0.7, { gpus: [1] }),
  wide: model(0.5, { suspend: true, extra_args: ["--tensor-parallel-size", "2"] }),
  stops: model(0.4, { sleep_level: 3 }),
};
const NAMES = Object.keys(MODELS);

/** Kills all of an engine, or a part of it, if there is one at this moment. */
async function killSomebody(stage: Stage, roll: (below: number) => number): Promise<void> {
  const { pid } = await stage.model(NAMES[roll(NAMES.length)] ?? "");
  if (pid === null) return;
  const core = markedProcesses(stage.marker).find((one) => readParent(one) === pid) ?? pid;
  try {
    process.kill([-pid, pid, core][roll(3)] ?? pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

/** What became of the requests. */
interface Tally {
  readonly first: ReadonlyMap<string, string>;
  served: number;
  refused: number;
}

/** Asks somebody for something, perhaps goes away before the end, and looks whether what came is right or says why not. */
async function askSomebody({ client }: Stage, tally: Tally, roll: (below: number) => number): Promise<void> {
  const name = NAMES[roll(NAMES.length)] ?? "";
  const priority = ["low", "normal", "high"][roll(3)] ?? "normal";
  const question = { tokens: TOKENS, headers: { "x-llmux-priority": priority } };
  const kind = roll(4);
  if (kind === 0) {
    // It may have its answer by then.
    await client.ask(name, question, AbortSignal.timeout(roll(500))).catch(() => {});
    return;
  }
  let whole: string | null = null;
  if (kind === 1) {
    const stream = await client.stream(name, question);
    assert.ok(EXPECTED.has(stream.status), `status ${stream.status}`);
    const end = await stream.ended;
    if (stream.status === 200 && end === "complete" && stream.error === null) whole = stream.text;
  } else {
    const reply = await client.ask(name, question);
    assert.ok(EXPECTED.has(reply.status), `status ${reply.status}`);
    if (reply.status === 200) whole = reply.text;
  }
  if (whole === null) {
    tally.refused += 1;
    return pause(50);
  }
  assert.equal(whole, tally.first.get(name), `an answer of ${name}`);
  tally.served += 1;
}

scenario(
  "models of all kinds on two GPUs whose engines are killed again and again answer in full or say why not, and all is well after",
  {
    gpus: "0:24GiB,1:24GiB",
    kills: true,
    top: {
      gpus: { 0: "24GiB", 1: "24GiB" },
      host_memory_for_sleep: "5GiB",
      preload: true,
      nvidia_smi_command: ["mock-vllm", "nvidia-smi"],
    },
    models: MODELS,
    policy: {
      ...BOUNDED,
      request_timeout_secs: 10,
      target_wait_secs: 1,
      max_wait_secs: 3,
      drain_budget_secs: 0.1,
      max_queued: 20,
      idle_sleep_secs: 1,
      idle_stop_secs: 1,
    },
    engine_timeouts: { sleep_timeout_secs: 5, wake_timeout_secs: 5, reload_timeout_secs: 5 },
    costs: Object.fromEntries(NAMES.map((name) => [name, { startMs: 500, wakeMs: 50 }])),
  },
  async (stage) => {
    const first = new Map<string, string>();
    for (const name of NAMES) {
      const reply = await stage.client.ask(name, { tokens: TOKENS });
      assert.equal(reply.status, 200, `${name}: ${reply.error?.message}`);
      first.set(name, reply.text);
    }
    const endAtMs = performance.now() + LASTS_MS;
    const tally: Tally = { first, served: 0, refused: 0 };
    const client = async (seed: number): Promise<void> => {
      const roll = dice(seed);
      while (performance.now() < endAtMs) await askSomebody(stage, tally, roll);
    };
    const killer = async (): Promise<void> => {
      const roll = dice(SEED + 1_000);
      while (performance.now() < endAtMs) {
        await pause(200 + roll(800));
        await killSomebody(stage, roll);
      }
    };
    await Promise.all([killer(), ...Array.from({ length: CLIENTS }, (_, at) => client(SEED + at))]);
    assert.ok(tally.served > tally.refused, `${tally.served} were served, ${tally.refused} were not`);
    for (const name of NAMES) {
      const { retry_in_s: waitS } = await stage.model(name);
      if (waitS !== null) await pause(waitS * 1_000);
      const reply = await stage.client.ask(name, { tokens: TOKENS });
      assert.equal(reply.text, first.get(name), `${name}: ${reply.error?.message}`);
    }
    for (const { id, in_flight: inFlight, waiting } of (await stage.status()).models) {
      assert.deepEqual([inFlight, waiting], [0, 0], `${id} has forgotten somebody`);
    }
  },
);
