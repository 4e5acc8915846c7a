import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpAnswer, HttpCall } from "../ports/http-client.ts";
import { healthOf, HealthWatch, lookAt, type Look } from "./health.ts";
import { NEVER } from "./operations.ts";
import { FakeClock } from "./testing/fake-clock.ts";

/** What is answered to the looks, one after the other; the last one to all further ones. */
function watched(...answers: readonly (string | null)[]) {
  const clock = new FakeClock();
  const lost: string[] = [];
  let looks = 0;
  const look: Look = () => {
    looks += 1;
    return Promise.resolve(answers[Math.min(looks, answers.length) - 1] ?? null);
  };
  const own = new HealthWatch(look, clock, (why) => lost.push(why));
  return { clock, lost, own, looks: () => looks };
}

test("An engine is lost after two bad looks in a row, not after one, and then it is not looked at any more", async () => {
  const { clock, lost, own, looks } = watched("once", null, "again", "still");
  await clock.pass(15_000);
  assert.deepEqual([lost, looks()], [[], 3]);
  await clock.pass(60_000);
  own.end();
  assert.deepEqual([lost, looks(), clock.pending], [["still"], 4, 0]);
});

test("A watch that is ended, also in the middle of a look, neither looks nor speaks", async () => {
  const clock = new FakeClock();
  const answers: ((why: string) => void)[] = [];
  const watch = new HealthWatch(
    () => new Promise((resolve) => void answers.push(resolve)),
    clock,
    () => assert.fail("it speaks"),
  );
  await clock.pass(5_000);
  answers[0]?.("bad");
  await clock.pass(5_000);
  watch.end();
  answers[1]?.("bad");
  await clock.pass(60_000);
  assert.deepEqual([answers.length, clock.pending], [2, 0]);
});

test("By its answer it is known how an engine is: a 5xx is unwell, anything else but 200 says nothing, silence neither", async () => {
  const late = Object.assign(new Error("late"), { name: "TimeoutError" });
  for (const [answer, health, look] of [
    [200, "well", null],
    [503, "unwell", "GET /h answered 503"],
    [404, "unknown", "GET /h answered 404"],
    [late, "unknown", "no answer within 2 s"],
    [new Error("ECONNREFUSED"), "unwell", "ECONNREFUSED"],
  ] as const) {
    const urls: string[] = [];
    const call = ({ url }: HttpCall): Promise<HttpAnswer> => {
      urls.push(url);
      return typeof answer === "number" ? Promise.resolve({ status: answer, body: "" }) : Promise.reject(answer);
    };
    const parts = { http: { call }, run: () => Promise.resolve("cannot be run") };
    assert.equal(await healthOf({ request: "/h" }, "http://e", parts)(), health);
    assert.equal(await lookAt({ request: "/h" }, "http://e", parts)(NEVER), look);
    assert.deepEqual(urls, ["http://e/h", "http://e/h"]);
  }
});
