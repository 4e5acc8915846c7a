/** The moments at which an engine's end, an operation and a stop meet: each order is answered once, or not at all. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Dispatcher } from "undici";
import type { GpuMemory, GpuProbe, GpuShare } from "../ports/gpu-probe.ts";
import type { HttpAnswer, HttpCall } from "../ports/http-client.ts";
import { RecordingLog } from "../../test/support/recording-log.ts";
import { EngineRecords } from "./engine-record.ts";
import { EngineSupervisor } from "./supervisor.ts";
import { FakeClock, settled } from "./testing/fake-clock.ts";
import { FakeProcesses } from "./testing/fake-processes.ts";

const OK: HttpAnswer = { status: 200, body: "" };

class FakePool {
  isDestroyed = false;

  destroy(): Promise<void> {
    this.isDestroyed = true;
    return Promise.resolve();
  }
}

/** A supervisor in a pretend world, in which the engine answers 200 to everything unless a test says otherwise. */
function stage(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "llmux-supervisor-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const clock = new FakeClock();
  const processes = new FakeProcesses();
  const log = new RecordingLog();
  const answers: string[] = [];
  const pools: FakePool[] = [];
  const world = {
    call: (_call: HttpCall): Promise<HttpAnswer> => Promise.resolve(OK),
    sharesOf: (_pids: readonly number[]): Promise<readonly GpuShare[] | null> => Promise.resolve(null),
    gpus: (): Promise<readonly GpuMemory[] | null> => Promise.resolve(null),
    print: (_call: HttpCall): string => "",
    claimPort: (): Promise<number> => Promise.resolve(8_001),
  };
  const figures: object[] = [];
  const probe: GpuProbe = {
    gpus: () => world.gpus(),
    usedBytesBy: () => assert.fail("nobody asks for that"),
    sharesOf: (pids) => world.sharesOf(pids),
  };
  const logFileOf = (model: string): string => join(folder, `${model}.log`);
  const supervisor = new EngineSupervisor(
    {
      name: "m",
      engine: { kind: "vllm" },
      aliases: [],
      upstreamModel: null,
      modelPath: "org/m",
      gpus: null,
      sleepModeFlag: true,
      extraArgs: [],
      env: {},
      port: 8_001,
      startupTimeoutMs: 60_000,
    },
    {
      programs: { vllm: ["engine"], sglang: [], "llama-server": [] },
      environment: {},
      limits: { sleepTimeoutMs: 5_000, wakeTimeoutMs: 5_000, reloadTimeoutMs: 5_000, stopGraceMs: 1_000 },
      clock,
      processes,
      http: {
        call(call) {
          appendFileSync(logFileOf("m"), world.print(call));
          return abortable(call, world.call(call));
        },
      },
      probe,
      records: new EngineRecords(folder),
      log,
      claimPort: () => world.claimPort(),
      createPool: () => {
        const pool = new FakePool();
        pools.push(pool);
        return pool as unknown as Dispatcher & { destroy(): Promise<void> };
      },
      logFileOf,
      isAloneOnGpus: () => true,
    },
    {
      awake: () => answers.push("awake"),
      wakeFailed: ({ message }) => answers.push(`wake failed: ${message}`),
      asleep: () => answers.push("asleep"),
      sleepFailed: ({ message }) => answers.push(`sleep failed: ${message}`),
      stopped: () => answers.push("stopped"),
      stopFailed: ({ message }) => answers.push(`stop failed: ${message}`),
      crashed: ({ message }) => answers.push(`crashed: ${message}`),
      measured: (more) => figures.push(more),
    },
  );
  const taken = (): string[] => answers.splice(0);
  const awake = async (): Promise<void> => {
    supervisor.start();
    await clock.pass(100);
    assert.deepEqual(taken(), ["awake"]);
  };
  return { supervisor, clock, processes, log, world, taken, awake, pools, folder, figures };
}

function abortable({ signal }: HttpCall, answer: Promise<HttpAnswer>): Promise<HttpAnswer> {
  const aborted = Promise.withResolvers<never>();
  if (signal?.aborted === true) aborted.reject(signal.reason);
  signal?.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
  return Promise.race([answer, aborted.promise]);
}

const NEVER = new Promise<never>(() => {});
const FAILED: HttpAnswer = { status: 500, body: "" };

test("an engine that ends while a stop breaks its wake off has been stopped, and has not crashed", async (t) => {
  const { supervisor, clock, processes, world, taken, awake } = stage(t);
  await awake();
  world.call = () => Promise.resolve(FAILED);
  supervisor.wake(1);
  await settled();
  // The wake has failed and is waiting for news of the engine's end; the stop waits for the wake to be off.
  supervisor.stop();
  await settled();
  processes.end(100);
  await clock.pass(2_000);
  assert.deepEqual(taken(), ["stopped"]);
});

test("an engine that ends while a stop breaks its start off has been stopped, and has not crashed", async (t) => {
  const { supervisor, clock, processes, world, taken } = stage(t);
  world.call = () => NEVER;
  supervisor.start();
  await settled();
  supervisor.stop();
  processes.end(100, { exitCode: 1, signal: null });
  await clock.pass(2_000);
  assert.deepEqual(taken(), ["stopped"]);
});

test("a stop does not wait for a GPU probe that gives no answer", async (t) => {
  const { supervisor, clock, world, taken, awake } = stage(t);
  await awake();
  let asked = 0;
  world.sharesOf = () => (++asked === 1 ? Promise.resolve([{ uuid: "GPU-a", usedBytes: 1_000 }]) : NEVER);
  supervisor.sleep(1, "none");
  await clock.pass(100);
  assert.equal(asked, 2);
  supervisor.stop();
  await clock.pass(2_000);
  assert.deepEqual(taken(), ["stopped"]);
});

test("a record that cannot be removed costs a warning, and neither the stop nor the next start", async (t) => {
  const { supervisor, clock, folder, taken, awake, log, pools } = stage(t);
  // What lies where the record should be can neither be replaced nor removed as a file can.
  mkdirSync(join(folder, "engines", "m.json"), { recursive: true });
  await awake();
  supervisor.stop();
  await clock.pass(2_000);
  assert.deepEqual(taken(), ["stopped"]);
  assert.equal(pools[0]?.isDestroyed, true);
  assert.equal(log.named("engine record not removed").length, 1);
  await awake();
});

test("a start that fails before there is a process does not stumble over a record that cannot be removed", async (t) => {
  const { supervisor, processes, folder, taken } = stage(t);
  mkdirSync(join(folder, "engines", "m.json"), { recursive: true });
  processes.spawn = () => Promise.reject(new Error("no such program"));
  supervisor.start();
  await settled();
  assert.equal(taken().length, 1);
});

test("an engine that exits while a call to it is under way is a crash, told once", async (t) => {
  const { supervisor, clock, processes, world, taken, awake, pools } = stage(t);
  await awake();
  world.call = () => NEVER;
  supervisor.sleep(1, "none");
  await clock.pass(10);
  processes.end(100, { exitCode: 0, signal: null });
  await clock.pass(10_000);
  assert.deepEqual(taken(), ["crashed: the engine of m exited with code 0"]);
  assert.equal(pools[0]?.isDestroyed, true);
});

test("a call that fails because its engine dies is told as the crash that it is", async (t) => {
  const { supervisor, clock, processes, world, taken, awake } = stage(t);
  await awake();
  world.call = () => Promise.reject(new Error("connection reset"));
  supervisor.wake(1);
  await clock.pass(100);
  processes.end(100, { exitCode: null, signal: "SIGSEGV" });
  await clock.pass(1_000);
  assert.deepEqual(taken(), ["crashed: the engine of m was ended by SIGSEGV"]);
});

test("a process that nobody can end is named, its record stays, and the next try can succeed", async (t) => {
  const { supervisor, clock, processes, folder, taken, awake } = stage(t);
  processes.family = (marker) => [
    { pid: 100, leader: 100, marker },
    { pid: 101, leader: 100, marker, heeds: [] },
  ];
  await awake();
  supervisor.stop();
  await clock.pass(20_000);
  assert.match(taken().join(), /^stop failed: processes 101 of the engine of m do not end/);
  assert.ok(existsSync(join(folder, "engines", "m.json")));
  processes.end(101);
  supervisor.stop();
  await clock.pass(1_000);
  assert.deepEqual(taken(), ["stopped"]);
  assert.ok(!existsSync(join(folder, "engines", "m.json")));
});

test("who got the pid of an engine that is gone is not signalled", async (t) => {
  const { supervisor, clock, processes, taken, awake } = stage(t);
  await awake();
  processes.end(100);
  processes.add({ pid: 100, leader: 100, startTime: "boot:999" });
  await settled();
  assert.deepEqual(taken(), ["crashed: the engine of m exited with code 0"]);
  supervisor.stop();
  await clock.pass(2_000);
  assert.deepEqual(taken(), ["stopped"]);
  assert.deepEqual(processes.signals, []);
});

test("after a kill nothing is started any more, and a start under way does not end in a process", async (t) => {
  const { supervisor, clock, processes, world, taken } = stage(t);
  const port = Promise.withResolvers<number>();
  world.claimPort = () => port.promise;
  supervisor.start();
  supervisor.kill();
  port.resolve(8_001);
  await clock.pass(100);
  assert.equal(processes.all.size, 0);
  assert.deepEqual(taken(), []);
});

test("an engine that ends as it says that it is ready is not measured afterwards", async (t) => {
  const { supervisor, clock, processes, world, taken } = stage(t);
  let measured = 0;
  world.sharesOf = () => {
    measured += 1;
    return Promise.resolve([]);
  };
  world.call = () => {
    processes.end(100, { exitCode: null, signal: "SIGKILL" });
    return Promise.resolve(OK);
  };
  supervisor.start();
  await clock.pass(5_000);
  assert.deepEqual(taken(), ["crashed: the engine of m was ended by SIGKILL"]);
  assert.equal(measured, 0);
  supervisor.stop();
  await clock.pass(5_000);
  assert.deepEqual(taken(), ["stopped"]);
  assert.equal(clock.pending, 0);
});

test("a kill leaves no timer and no connection behind", async (t) => {
  const { supervisor, clock, processes, pools, awake } = stage(t);
  await awake();
  supervisor.kill();
  assert.deepEqual(processes.signals, ["SIGKILL 100"]);
  await clock.pass(0);
  assert.equal(clock.pending, 0);
  assert.equal(pools[0]?.isDestroyed, true);
});

test("a stop leaves no timer behind", async (t) => {
  const { supervisor, clock, taken, awake } = stage(t);
  await awake();
  supervisor.sleep(1, "none");
  await clock.pass(10);
  supervisor.stop();
  await clock.pass(2_000);
  assert.deepEqual(taken(), ["asleep", "stopped"]);
  assert.equal(clock.pending, 0);
});

// ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const GIB = 1024 ** 3;
const shares = (...gib: readonly number[]) => gib.map((each, at) => ({ uuid: `GPU-${at}`, usedBytes: each * GIB }));

test("awake and asleep it is measured a second later, as long as nothing else has begun", async (t) => {
  const { supervisor, clock, world, figures, awake } = stage(t);
  let held = shares(20, 21);
  world.sharesOf = () => Promise.resolve(held);
  await awake();
  assert.deepEqual(figures.splice(0), []);
  await clock.pass(1_000);
  assert.deepEqual(figures.splice(0), [{ awakeBytes: 21 * GIB }]);
  held = shares(1.5, 1);
  supervisor.sleep(1, "none");
  await clock.pass(500);
  assert.deepEqual(figures.splice(0), []);
  supervisor.wake(1);
  await clock.pass(5_000);
  assert.deepEqual(figures.splice(0), []);
  supervisor.sleep(1, "none");
  await clock.pass(1_500);
  assert.deepEqual(figures.splice(0), [{ residueBytes: 1.5 * GIB }]);
});

test("an engine that falls asleep at once is measured first, and what it keeps is told again only when it has changed", async (t) => {
  const { supervisor, clock, world, figures, awake } = stage(t);
  let held = shares(20);
  world.sharesOf = () => Promise.resolve(held);
  world.call = ({ url }) => {
    if (url.includes("/sleep")) held = shares(1);
    return Promise.resolve(OK);
  };
  await awake();
  for (const _ of [1, 2]) {
    supervisor.sleep(2, "none");
    await clock.pass(2_000);
    supervisor.wake(2);
    await clock.pass(10);
  }
  assert.deepEqual(figures.splice(0), [{ awakeBytes: 20 * GIB }, { residueBytes: GIB }]);
});

test("where the GPU does not tell, the engine's own words do, and nothing is made up from nothing", async (t) => {
  const { supervisor, clock, world, figures, awake } = stage(t);
  // A driver that hides processes.
  world.sharesOf = () => Promise.resolve([]);
  await awake();
  supervisor.sleep(1, "none");
  await clock.pass(5_000);
  assert.deepEqual(figures, []);
  supervisor.wake(1);
  await clock.pass(10);
  world.print = ({ url }) =>
    url.includes("/sleep")
      ? "Sleep mode freed 10.00 GiB memory, 1.25 GiB memory is still in use.\n" +
        "sleep freed 10.00 GiB memory in total, of which 8.50 GiB is backed up in CPU and the rest 1.50 GiB is discarded.\n"
      : "";
  supervisor.sleep(1, "none");
  await clock.pass(10);
  assert.deepEqual(figures, [{ hostBytes: 8.5 * GIB }, { residueBytes: 1.25 * GIB }]);
});

test("what was measured while a stop began is not told", async (t) => {
  const { supervisor, clock, world, figures, awake } = stage(t);
  const answer = Promise.withResolvers<readonly GpuShare[] | null>();
  world.sharesOf = () => answer.promise;
  await awake();
  await clock.pass(1_000);
  supervisor.stop();
  answer.resolve(shares(3));
  await clock.pass(2_000);
  assert.deepEqual(figures, []);
});

test("a wake that finds too little memory says so, with what is free, and leaves the engine as it is", async (t) => {
  const { supervisor, clock, processes, world, taken, awake } = stage(t);
  await awake();
  supervisor.sleep(1, "none");
  await clock.pass(10);
  taken();
  world.gpus = () => Promise.resolve([{ index: "0", totalBytes: 24 * GIB, usedBytes: 22.5 * GIB }]);
  world.call = ({ url }) =>
    Promise.resolve(
      url.endsWith("/is_sleeping")
        ? { status: 200, body: '{"is_sleeping":true}' }
        : { status: 500, body: '{"error":{"message":"CUDA Error: out of memory at x.cpp:1"}}' },
    );
  supervisor.wake(1);
  // Nothing is waited for: an engine that answers is alive.
  await clock.pass(0);
  assert.deepEqual(taken(), [
    "wake failed: engine of m: POST /wake_up answered 500: CUDA Error: out of memory at x.cpp:1; free: 1.50 of 24.00 GiB on GPU 0",
  ]);
  assert.equal(processes.all.size, 1);
  world.call = () => Promise.resolve(OK);
  supervisor.wake(1);
  await clock.pass(10);
  assert.deepEqual(taken(), ["awake"]);
});
