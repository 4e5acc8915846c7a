import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Pool } from "undici";
import { failure } from "../base/failure.ts";
import type { EngineConnection } from "../ports/engine-directory.ts";
import { Retries } from "./retries.ts";

const LIVES: readonly Pick<EngineConnection, "dispatcher">[] = [1, 2, 3].map(() => {
  return { dispatcher: new Pool("http://127.0.0.1:9") };
});
after(() => Promise.all(LIVES.map(({ dispatcher }) => dispatcher.destroy())));

const CRASH = failure("engine_crashed", "it is gone");

function takeLife(retries: Retries, life: number): boolean {
  const connection = LIVES[life - 1];
  assert.ok(connection !== undefined);
  return retries.take(connection);
}

test("A broken connection is tried again once on the same life of the engine, then the news is waited for", () => {
  const retries = new Retries();
  assert.equal(retries.hasTried, false);
  assert.ok(takeLife(retries, 1));
  assert.equal(retries.hasTried, true);
  assert.equal(retries.onConnectionFailed(true), "send again");
  assert.ok(takeLife(retries, 1));
  assert.equal(retries.onConnectionFailed(true), "wait for the crash");
});

test("A request that cannot have arrived is not simply sent again: its engine is not there", () => {
  const retries = new Retries();
  takeLife(retries, 1);
  assert.equal(retries.onConnectionFailed(false), "wait for the crash");
  assert.equal(retries.onRevoked(CRASH), "send again");
});

test("A second life is tried, a third is not, however the first two ended", () => {
  const told = new Retries();
  takeLife(told, 1);
  assert.equal(told.onRevoked(CRASH), "send again");
  assert.ok(takeLife(told, 2));
  assert.equal(told.onRevoked(CRASH), "give up");
  const untold = new Retries();
  takeLife(untold, 1);
  untold.onConnectionFailed(true);
  assert.ok(takeLife(untold, 2));
  untold.onConnectionFailed(true);
  assert.equal(takeLife(untold, 3), false);
});

test("What was taken back on purpose is not sent again", () => {
  for (const code of ["drain_timeout", "shutting_down", "stopped_by_operator"] as const) {
    const retries = new Retries();
    takeLife(retries, 1);
    assert.equal(retries.onRevoked(failure(code, "on purpose")), "give up");
  }
});
