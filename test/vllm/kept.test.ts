/**
 * Requests that stand still while their engine sleeps, on a real vLLM: the orchestrator, one engine, and streams that are
 * caught in the middle. What a CPU cannot show is that the memory comes free meanwhile.
 */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { join } from "node:path";
import type { Failure } from "../../src/base/failure.ts";
import { Orchestrator } from "../../src/orchestrator/orchestrator.ts";
import { claimPort } from "../../src/platform/loopback-port.ts";
import { nvidiaSmi } from "../../src/platform/nvidia-smi.ts";
import { systemProcesses } from "../../src/platform/processes.ts";
import { systemClock } from "../../src/platform/system-clock.ts";
import { createEnginePool } from "../../src/platform/engine-pool/engine-pool.ts";
import { createHttpClient } from "../../src/platform/undici-http-client.ts";
import type { EngineConnection } from "../../src/ports/engine-directory.ts";
import { RecordingLog } from "../support/recording-log.ts";
import { until } from "../support/until.ts";
import { MODELS, VLLM } from "./support/llmux-run.ts";
import { Stream } from "./support/stream.ts";
import { TestGround } from "./support/test-ground.ts";

const MODEL = "tiny-a";

/** Tokens of an answer that takes one to three seconds. */
const TOKENS = 1_000;

/**
 * A model this small writes faster than a busy machine takes the order to sleep: then the stream is at its end before the
 * engine sleeps, and another one has to be caught.
 */
const CATCHES_MAX = 20;

/** A start takes half a minute on two idle cores, an order to an engine at work some seconds; this is for busy ones. */
const LIMIT_MS = 240_000;

const ground = new TestGround();
const http = createHttpClient();
const answers: string[] = [];
const measured: object[] = [];
const badly = (kind: string) => (_: string, reason: Failure) => void answers.push(`${kind}: ${reason.message}`);
const orchestrator = new Orchestrator(
  {
    engines: [
      {
        name: MODEL,
        engine: { kind: "vllm" },
        aliases: [],
        upstreamModel: null,
        modelPath: join(MODELS, MODEL),
        gpus: null,
        // vLLM refuses the flag on a CPU; without it the sleep routes work all the same, and free nothing.
        sleepModeFlag: false,
        // After the wake all that was said is read again at once. In bfloat16 that rounds differently from token after token,
        // and some answers come out otherwise from there on.
        extraArgs: ["--enforce-eager", "--max-model-len", "4096", "--dtype", "float32"],
        env: { VLLM_CPU_KVCACHE_SPACE: "1", HF_HUB_OFFLINE: "1", VLLM_NO_USAGE_STATS: "1", DO_NOT_TRACK: "1" },
        port: null,
        startupTimeoutMs: LIMIT_MS,
      },
    ],
    stateDir: join(ground.folder, "state"),
    programs: { vllm: [VLLM], sglang: [], "llama-server": [] },
    environment: ground.environment,
    limits: { sleepTimeoutMs: 120_000, wakeTimeoutMs: 120_000, reloadTimeoutMs: 120_000, stopGraceMs: 10_000 },
    clock: systemClock,
    processes: systemProcesses,
    http,
    probe: nvidiaSmi(["there-is-no-nvidia-smi"], {}),
    log: new RecordingLog(),
    claimPort,
    createPool: createEnginePool,
  },
  {
    onAwake: () => void answers.push("awake"),
    onWakeFailed: badly("wake failed"),
    onAsleep: () => void answers.push("asleep"),
    onSleepFailed: badly("sleep failed"),
    onStopped: () => void answers.push("stopped"),
    onStopFailed: badly("stop failed"),
    onCrashed: badly("crashed"),
    onMemoryMeasured: (_, figures) => void measured.push(figures),
  },
);
const { effects } = orchestrator;
/** The answer that nothing has disturbed. */
let undisturbed = "";

after(async () => {
  orchestrator.killAll();
  await http.close();
  await ground.clear();
});

async function expect(answer: string): Promise<void> {
  assert.equal(await until(`the engine is ${answer}`, () => answers.shift(), LIMIT_MS), answer);
}

function engine(): EngineConnection {
  const connection = orchestrator.connection(MODEL);
  assert.ok(connection !== null, "the engine is gone");
  return connection;
}

/** Asks the engine so many times, one after the other, whether it sleeps; it must. */
async function askWhetherAsleep(times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    const { body } = await http.call({ method: "GET", url: `${engine().origin}/is_sleeping`, timeoutMs: LIMIT_MS });
    assert.equal(body, '{"is_sleeping":true}');
  }
}

/** Streams that have begun and have not ended when their engine has fallen asleep. */
async function catchInTheMiddle(context: TestContext, level: 1 | 2, count: number): Promise<readonly Stream[]> {
  for (let tries = 1; tries <= CATCHES_MAX; tries += 1) {
    const streams = Array.from({ length: count }, () => new Stream(engine(), MODEL, TOKENS));
    await until("the streams have begun", () => streams.every(({ text }) => text !== ""), LIMIT_MS);
    effects.sleep(MODEL, level, "kept");
    await expect("asleep");
    // What was on its way comes in before further questions are answered.
    let before = -1;
    const chunks = (): number => streams.reduce((sum, stream) => sum + stream.chunks, 0);
    while (chunks() !== before) {
      before = chunks();
      await askWhetherAsleep(20);
    }
    if (streams.every(({ hasEnded }) => !hasEnded)) {
      context.diagnostic(
        `caught at try ${tries}, after ${streams.map((stream) => stream.chunks).join(" and ")} chunks`,
      );
      return streams;
    }
    effects.wake(MODEL, level);
    await expect("awake");
    await Promise.all(streams.map(({ ended }) => ended));
  }
  return assert.fail(`no stream was caught in ${CATCHES_MAX} tries`);
}

test("the engine starts, and says the same twice", { timeout: LIMIT_MS }, async () => {
  effects.start(MODEL);
  await expect("awake");
  ground.know(orchestrator.info(MODEL).pid ?? 0);
  for (const _ of [1, 2]) {
    const stream = new Stream(engine(), MODEL, TOKENS);
    await stream.ended;
    stream.assertWhole(TOKENS);
    if (undisturbed !== "") assert.equal(stream.text, undisturbed);
    undisturbed = stream.text;
  }
});

for (const [level, count] of [
  [1, 1],
  [2, 1],
  [1, 3],
] as const) {
  const which = count === 1 ? "a stream" : `${count} streams`;
  test(
    `${which} caught by a sleep at level ${level}: no token comes until the wake, and then all that is missing, the same as undisturbed`,
    { timeout: LIMIT_MS },
    async (context) => {
      const streams = await catchInTheMiddle(context, level, count);
      const caught = streams.map(({ chunks }) => chunks);
      await askWhetherAsleep(200);
      assert.deepEqual(
        streams.map(({ chunks }) => chunks),
        caught,
      );
      // Who comes while it sleeps has to wait for the wake as well.
      const late = new Stream(engine(), MODEL, 8);
      await askWhetherAsleep(20);
      assert.equal(late.text, "");
      effects.wake(MODEL, level);
      await expect("awake");
      await Promise.all([...streams, late].map(({ ended }) => ended));
      late.assertWhole(8);
      for (const stream of streams) {
        stream.assertWhole(TOKENS);
        assert.equal(stream.text, undisturbed);
      }
    },
  );
}

test(
  "nothing is measured where there is no GPU, and the engine ends without a trace",
  { timeout: 60_000 },
  async () => {
    effects.stop(MODEL);
    await expect("stopped");
    assert.deepEqual(ground.left(), []);
    assert.deepEqual(measured, []);
    assert.deepEqual(answers, []);
  },
);
