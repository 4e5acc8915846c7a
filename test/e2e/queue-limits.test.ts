/** More requests than can be served in time: who is refused, at once, and when it makes sense to come back. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Reply } from "./support/client.ts";
import { scenario } from "./support/scenario.ts";
import { BOUNDED, taking } from "./support/sized-model.ts";
import type { Stage } from "./support/stage.ts";

const STARTING = { mock: { load_ms: 2_000 } };

function waits(stage: Stage, model: string, count: number): Promise<unknown> {
  return stage.log.until("waiter queued", { model, depth: count });
}

function refusedAtOnce(reply: Reply): void {
  assert.equal(reply.status, 429);
  assert.equal(reply.error?.code, "queue_full");
  assert.ok(reply.tookMs < 1_500, `it was refused after ${reply.tookMs} ms`);
  assert.match(String(reply.headers["retry-after"]), /^[1-9]\d*$/);
}

scenario(
  "of the requests for a model that is not there yet as many wait as may, and further ones are refused at once",
  {
    policy: { ...BOUNDED, max_queued: 3 },
    gpus: "0:8GiB,1:8GiB",
    models: { a: { gpus: [0], ...STARTING }, b: { gpus: [1], max_queued: 1, ...STARTING } },
  },
  async (stage) => {
    const waiting = [stage.client.ask("a"), stage.client.ask("a"), stage.client.ask("a"), stage.client.ask("b")];
    await Promise.all([waits(stage, "a", 3), waits(stage, "b", 1)]);
    for (const model of ["a", "b"]) {
      const refused = await stage.client.ask(model);
      refusedAtOnce(refused);
      assert.match(
        refused.error?.message ?? "",
        new RegExp(`${model === "a" ? 3 : 1} requests wait for model ${model}`),
      );
    }
    for (const reply of await Promise.all(waiting)) assert.equal(reply.status, 200);
    // There is room again.
    for (const model of ["a", "b"]) assert.equal((await stage.client.ask(model)).status, 200);
  },
);

scenario(
  "of the requests for all models together as many wait as may, and further ones are refused at once, for whichever model",
  {
    policy: { ...BOUNDED, max_queued_total: 3 },
    gpus: "0:8GiB,1:8GiB",
    models: { a: { gpus: [0], ...STARTING }, b: { gpus: [1], ...STARTING }, c: { gpus: [1] } },
  },
  async (stage) => {
    const waiting = [stage.client.ask("a"), stage.client.ask("a"), stage.client.ask("b")];
    await Promise.all([waits(stage, "a", 2), waits(stage, "b", 1)]);
    for (const model of ["a", "b", "c"]) {
      const refused = await stage.client.ask(model);
      refusedAtOnce(refused);
      assert.match(refused.error?.message ?? "", /3 requests wait for all models together/);
    }
    for (const reply of await Promise.all(waiting)) assert.equal(reply.status, 200);
    assert.equal((await stage.client.ask("c")).status, 200);
  },
);

scenario(
  "an engine works on no more requests at a time than it may, and the others wait, as many as may",
  { policy: { policy_type: "fifo" }, models: { a: { max_in_flight: 2, max_queued: 3, mock: { itl_ms: 100 } } } },
  async ({ client, log }) => {
    assert.equal((await client.ask("a")).status, 200);
    const asked = Array.from({ length: 5 }, () => client.ask("a", { tokens: 20 }));
    await log.until("waiter queued", { model: "a", depth: 3 });
    refusedAtOnce(await client.ask("a"));
    const replies = await Promise.all(asked);
    for (const reply of replies) assert.equal(reply.status, 200);
    // An answer takes two seconds, and each of those who wait comes behind at least one.
    assert.equal(replies.filter(({ headers }) => Number(headers["x-llmux-queue-ms"]) > 1_000).length, 3);
  },
);

const SERVICE_MS = 500;

scenario(
  "a request that would wait longer than it may is refused at once, and those that are taken are served in time",
  {
    policy: { ...BOUNDED, request_timeout_secs: 2.9 },
    models: { a: taking(0.8, { extra_args: ["--max-num-seqs", "1"], mock: { itl_ms: SERVICE_MS / 5 } }) },
  },
  async ({ client, log }) => {
    const question = { tokens: 6 };
    for (let round = 1; round <= 3; round += 1) assert.equal((await client.ask("a", question)).status, 200);
    const replies = await Promise.all(Array.from({ length: 12 }, () => client.ask("a", question)));
    const served = replies.filter(({ status }) => status === 200);
    const refused = replies.filter(({ status }) => status !== 200);
    // One runs, and as many wait as have their turn within 2.9 s.
    assert.ok(served.length >= 3 && served.length <= 6, `${served.length} were served`);
    for (const reply of refused) {
      assert.equal(reply.status, 503);
      assert.equal(reply.error?.code, "wait_too_long");
      assert.match(reply.error.message, /a request for model a would wait for .* s, and may for 2\.9 s/);
      assert.ok(reply.tookMs < 2_500, `it was refused after ${reply.tookMs} ms`);
      const retryAfterS = Number(reply.headers["retry-after"]);
      assert.ok(retryAfterS >= 1 && retryAfterS <= 3, `Retry-After: ${retryAfterS}`);
    }
    assert.deepEqual(log.all("waiter turned away", { code: "queue_timeout" }), []);
  },
);

scenario(
  "who comes back after the time that it was told is taken",
  {
    policy: { ...BOUNDED, request_timeout_secs: 1.2 },
    models: { a: taking(0.8, { extra_args: ["--max-num-seqs", "1"], mock: { itl_ms: SERVICE_MS / 5 } }) },
  },
  async ({ client, log }) => {
    const question = { tokens: 6 };
    for (let round = 1; round <= 2; round += 1) assert.equal((await client.ask("a", question)).status, 200);
    const first = [client.ask("a", question), client.ask("a", question), client.ask("a", question)];
    await log.until("waiter queued", { model: "a", depth: 2 });
    const refused = await client.ask("a", question);
    assert.equal(refused.error?.code, "wait_too_long");
    await pause(1_000 * Number(refused.headers["retry-after"]));
    assert.equal((await client.ask("a", question)).status, 200);
    await Promise.all(first);
  },
);
