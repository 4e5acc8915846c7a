import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpAnswer, HttpCall, HttpClient } from "../ports/http-client.ts";
import { lookAt } from "./health.ts";
import { untilReady } from "./readiness.ts";
import { FakeClock, settled } from "./testing/fake-clock.ts";

const ORIGIN = "http://127.0.0.1:8001";

const NO_COMMAND = (): Promise<never> => assert.fail("there is no command");

/** Answers with a status, or refuses for null; each call is written down. */
function stage(answer: (call: HttpCall, count: number) => number | null | Promise<never>) {
  const clock = new FakeClock();
  const calls: { readonly atMs: number; readonly call: HttpCall }[] = [];
  const http: HttpClient = {
    async call(call): Promise<HttpAnswer> {
      calls.push({ atMs: clock.nowMs(), call });
      const status = await answer(call, calls.length);
      if (status === null) throw new Error("connect ECONNREFUSED");
      return { status, body: "" };
    },
  };
  const look = lookAt({ request: "/health" }, ORIGIN, { http, run: NO_COMMAND });
  const stop = new AbortController();
  let state = "waiting";
  const ready = untilReady(look, clock, stop.signal).then(
    () => (state = "ready"),
    (error: Error) => (state = error.message),
  );
  return { clock, calls, stop, ready, state: () => state };
}

test("only 200 is ready: refused, 503 and a poll without an answer are asked again", async () => {
  const answers = [null, 503, 404, null, 200];
  const { clock, calls, state } = stage((_call, count) => answers[count - 1] as number | null);
  await clock.pass(1_000);
  assert.equal(state(), "ready");
  assert.equal(calls.length, 5);
  assert.ok(calls.every(({ call }) => call.url === `${ORIGIN}/health` && call.timeoutMs <= 2_000));
  assert.equal(clock.pending, 0);
});

test("it is asked often at first and never more than 40 ms apart", async () => {
  const { clock, calls, stop } = stage(() => null);
  await clock.pass(2_000);
  stop.abort();
  await settled();
  const gaps = calls.slice(1).map(({ atMs }, index) => atMs - (calls[index]?.atMs ?? 0));
  assert.equal(gaps[0], 10);
  assert.ok(gaps.every((gap, index) => gap < 40.001 && gap > (gaps[index - 1] ?? 0) - 0.001));
  assert.ok(calls.length >= 45, `${calls.length} polls in 2 s`);
});

test("it is broken off at once, in a pause and in a poll, with the signal's reason and no timer left", async () => {
  const paused = stage(() => 503);
  await paused.clock.pass(5);
  paused.stop.abort(new Error("not any more"));
  assert.equal(await paused.ready, "not any more");
  assert.equal(paused.clock.pending, 0);
  const polling = stage(
    ({ signal }) =>
      new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted")))),
  );
  await settled();
  polling.stop.abort(new Error("not any more"));
  assert.equal(await polling.ready, "not any more");
});
