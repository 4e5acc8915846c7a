import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dispatcher } from "undici";
import { RecordingLog } from "../../test/support/recording-log.ts";
import { vllmControl } from "../engines/vllm.ts";
import type { HttpAnswer, HttpCall } from "../ports/http-client.ts";
import { EngineControl } from "./engine-control.ts";

const ENGINE = { origin: "http://127.0.0.1:8001", dispatcher: {} as Dispatcher };
const SIGNAL = new AbortController().signal;

/** An engine that answers 200, but where `answers` has something for the path. */
function stage(answers: Readonly<Record<string, Partial<HttpAnswer> | Error>> = {}) {
  const calls: HttpCall[] = [];
  const log = new RecordingLog();
  const http = {
    call(call: HttpCall): Promise<HttpAnswer> {
      calls.push(call);
      const answer = answers[call.url.slice(ENGINE.origin.length)] ?? {};
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ status: 200, body: "", ...answer });
    },
  };
  const limits = { sleepTimeoutMs: 120_000, wakeTimeoutMs: 30_000, reloadTimeoutMs: 60_000 };
  const control = new EngineControl("m", http, limits, log, vllmControl, () => Promise.resolve("cannot be run"));
  const heard = (): string[] => calls.map(({ url, timeoutMs }) => `${url.slice(ENGINE.origin.length)} ${timeoutMs}`);
  return { control, heard, log };
}

const timeout = (): Error => Object.assign(new Error("The operation was aborted"), { name: "TimeoutError" });

test("each level sleeps by its query, and wakes in the safe order, each call with its own limit", async () => {
  const { control, heard } = stage();
  assert.equal(await control.sleep(ENGINE, 2, "none", SIGNAL), null);
  assert.equal(await control.wake(ENGINE, 2, SIGNAL), null);
  assert.deepEqual(heard(), [
    "/sleep?level=2 120000",
    "/wake_up?tags=weights 30000",
    "/collective_rpc 60000",
    "/wake_up?tags=kv_cache 30000",
    "/reset_prefix_cache 30000",
    "/is_sleeping 30000",
  ]);
});

test("a step that fails ends the wake there: nothing is scheduled on weights that were not loaded", async () => {
  const { control, heard } = stage({
    "/collective_rpc": { status: 500, body: '{"error":{"message":"no such file"}}' },
  });
  const failed = await control.wake(ENGINE, 2, SIGNAL);
  assert.equal(failed?.code, "wake_failed");
  assert.equal(failed.message, "engine of m: POST /collective_rpc answered 500: no such file");
  assert.ok(!heard().some((call) => call.startsWith("/wake_up?tags=kv_cache")));
});

test("a prefix cache that cannot be reset is logged and no more", async () => {
  const { control, log } = stage({ "/reset_prefix_cache": new Error("connection reset") });
  assert.equal(await control.wake(ENGINE, 2, SIGNAL), null);
  assert.equal(log.named("optional engine call failed").length, 1);
});

test("an engine that says it is asleep after its wake has not woken; one that cannot say it has", async () => {
  const asleep = stage({ "/is_sleeping": { body: '{"is_sleeping": true}' } });
  assert.match((await asleep.control.wake(ENGINE, 1, SIGNAL))?.message ?? "", /says that it is asleep/);
  for (const answer of [{ status: 404 }, { body: "nonsense" }, { body: '{"is_sleeping":false}' }]) {
    assert.equal(await stage({ "/is_sleeping": answer }).control.wake(ENGINE, 1, SIGNAL), null);
  }
});

test("a limit that is over is told in seconds, wherever it was", async () => {
  const sleep = await stage({ "/sleep?level=1": timeout() }).control.sleep(ENGINE, 1, "none", SIGNAL);
  assert.deepEqual(
    [sleep?.code, sleep?.message],
    ["sleep_failed", "engine of m: POST /sleep?level=1: no answer within 120 s"],
  );
  const check = await stage({ "/is_sleeping": timeout() }).control.wake(ENGINE, 1, SIGNAL);
  assert.equal(check?.message, "engine of m: GET /is_sleeping: no answer within 30 s");
});

test("whatever an engine answers becomes a sentence of reasonable length", async () => {
  for (const [body, said] of [
    ["", "(no reason given)"],
    ["null", "null"],
    ['{"error":"text"}', '{"error":"text"}'],
    ["x".repeat(10_000), "x".repeat(500)],
  ] as const) {
    const failed = await stage({ "/wake_up": { status: 503, body } }).control.wake(ENGINE, 1, SIGNAL);
    assert.equal(failed?.message, `engine of m: POST /wake_up answered 503: ${said}`);
  }
});

test("an engine that says in its answer that all of it is awake is not asked again; one that says sleeping is", async () => {
  const awake = stage({ "/wake_up?tags=kv_cache": { body: '{"status":"awake","tags":["kv_cache"]}' } });
  assert.equal(await awake.control.wake(ENGINE, 2, SIGNAL), null);
  assert.ok(!awake.heard().some((call) => call.startsWith("/is_sleeping")));
  const asleep = stage({
    "/wake_up": { body: '{"status":"sleeping","tags":null}' },
    "/is_sleeping": { body: '{"is_sleeping":true}' },
  });
  assert.equal((await asleep.control.wake(ENGINE, 1, SIGNAL))?.code, "wake_failed");
});

const OUT_OF_MEMORY = {
  status: 500,
  body: '{"error":{"message":"Call to wake_up method failed: CUDA Error: out of memory at x.cpp:139","code":500}}',
};
const ASLEEP = { body: '{"is_sleeping":true}' };

/** A wake from level 1 that runs out of memory, of an engine that answers this when it is asked whether it sleeps. */
function wakeOutOfMemory(asleep: Partial<HttpAnswer> | Error) {
  return stage({ "/wake_up": OUT_OF_MEMORY, "/is_sleeping": asleep }).control.wake(ENGINE, 1, SIGNAL);
}

test("a wake that ran out of memory is told as that when the engine is still asleep, and as a failed wake when it is not", async () => {
  const failed = await wakeOutOfMemory(ASLEEP);
  assert.deepEqual(
    [failed?.code, failed?.message],
    [
      "out_of_memory",
      "engine of m: POST /wake_up answered 500: Call to wake_up method failed: CUDA Error: out of memory at x.cpp:139",
    ],
  );
  for (const [answer, because] of [
    [{ body: '{"is_sleeping":false}' }, /it did not stay asleep: it does not say that it is asleep$/],
    [{ status: 404 }, /it does not say that it is asleep$/],
    [timeout(), /GET \/is_sleeping: no answer within 30 s$/],
  ] as const) {
    const dead = await wakeOutOfMemory(answer);
    assert.equal(dead?.code, "wake_failed");
    assert.match(dead.message, because);
  }
});

test("from level 2 an engine that ran out of memory with its weights back is put to sleep again", async () => {
  const { control, heard } = stage({ "/wake_up?tags=kv_cache": OUT_OF_MEMORY, "/is_sleeping": ASLEEP });
  assert.equal((await control.wake(ENGINE, 2, SIGNAL))?.code, "out_of_memory");
  assert.deepEqual(
    heard().map((call) => call.split(" ")[0]),
    ["/wake_up?tags=weights", "/collective_rpc", "/wake_up?tags=kv_cache", "/sleep?level=2&mode=keep", "/is_sleeping"],
  );
  const stuck = stage({
    "/wake_up?tags=kv_cache": OUT_OF_MEMORY,
    "/is_sleeping": ASLEEP,
    "/sleep?level=2&mode=keep": { status: 500, body: "no" },
  });
  const failed = await stuck.control.wake(ENGINE, 2, SIGNAL);
  assert.equal(failed?.code, "wake_failed");
  assert.match(
    failed.message,
    /out of memory .*did not stay asleep: .*POST \/sleep\?level=2&mode=keep answered 500: no$/,
  );
});

test("words of memory in another answer than a 500 to a wake are no lack of GPU memory", async () => {
  const sleep = await stage({ "/sleep?level=1": OUT_OF_MEMORY }).control.sleep(ENGINE, 1, "none", SIGNAL);
  assert.equal(sleep?.code, "sleep_failed");
  const wake = stage({ "/wake_up": { ...OUT_OF_MEMORY, status: 503 }, "/is_sleeping": ASLEEP });
  assert.equal((await wake.control.wake(ENGINE, 1, SIGNAL))?.code, "wake_failed");
});

test("requests that are kept stand in the query of the sleep", async () => {
  const { control, heard } = stage();
  assert.equal(await control.sleep(ENGINE, 1, "kept", SIGNAL), null);
  assert.deepEqual(heard(), ["/sleep?level=1&mode=keep 120000"]);
});
