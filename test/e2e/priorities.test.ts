/** Requests that say how urgent they are: which wait for others, and which pass them. */
import assert from "node:assert/strict";
import type { AnswerStream } from "./support/client.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED, taking } from "./support/sized-model.ts";
import type { Stage } from "./support/stage.ts";

const COSTS = { startMs: 500, wakeMs: 50 };
const TARGET_WAIT_S = 2;

const setup = {
  policy: { ...BOUNDED, target_wait_secs: TARGET_WAIT_S, max_wait_secs: 20 },
  models: { a: { mock: { itl_ms: 20 } }, b: {} },
  costs: { a: COSTS, b: COSTS },
} as const;

function asked(priority: string): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { "x-llmux-priority": priority } };
}

/** `a` is awake and has so much to do, for longer than any test takes. */
async function keepBusy(stage: Stage, requests: number): Promise<readonly AnswerStream[]> {
  await serves(stage, "b", "a");
  const streams: AnswerStream[] = [];
  while (streams.length < requests) streams.push(await stage.client.stream("a", { tokens: 30_000 }));
  for (const stream of streams) await stream.begun();
  return streams;
}

/** After how many ms of waiting a request for `b` has made `a` leave, and why. */
async function untilLeaving(stage: Stage, since: number): Promise<{ readonly afterMs: number; readonly why: string }> {
  const queued = await stage.log.until("waiter queued", { model: "b" }, since);
  const { time, because } = await stage.log.until("switch started", { from: "a", to: "b" }, since);
  return { afterMs: Date.parse(time) - Date.parse(queued.time), why: String(because) };
}

const BY_AGE = /its oldest request has waited .*, and there is credit for the switch/;
const BY_WEIGHT = /1 wait for it, more than half of the \d that a must do/;

for (const [what, { priority, busy, leaves }] of Object.entries({
  "a low request does not make a busy model leave before target_wait_secs": {
    priority: "low",
    busy: 1,
    leaves: BY_AGE,
  },
  "a normal request makes a model leave that has as much to do": { priority: "normal", busy: 1, leaves: BY_WEIGHT },
  "a normal request does not make a model leave that has four times as much to do before target_wait_secs": {
    priority: "normal",
    busy: 4,
    leaves: BY_AGE,
  },
  "a high request makes a model leave that has four times as much to do": {
    priority: "high",
    busy: 4,
    leaves: BY_WEIGHT,
  },
})) {
  scenario(what, setup, async (stage) => {
    const streams = await keepBusy(stage, busy);
    const since = stage.log.now;
    const reply = stage.client.ask("b", asked(priority));
    const { afterMs, why } = await untilLeaving(stage, since);
    assert.match(why, leaves);
    // The switch takes a tenth of a second, and begins that much earlier.
    if (leaves === BY_AGE) assert.ok(afterMs >= 1_000 * TARGET_WAIT_S - 500, `it left after ${afterMs} ms`);
    for (const stream of streams) stream.leave();
    assert.equal((await reply).status, 200);
  });
}

scenario(
  "the requests of a model of low priority are low unless they say something else",
  { ...setup, models: { ...setup.models, b: { priority: "low" } } },
  async (stage) => {
    const streams = await keepBusy(stage, 1);
    const since = stage.log.now;
    const replies = [stage.client.ask("b")];
    await stage.log.until("waiter queued", { model: "b" }, since);
    assert.deepEqual(stage.log.all("switch started", { to: "b" }, since), []);
    replies.push(stage.client.ask("b", asked("normal")));
    const { why } = await untilLeaving(stage, since);
    assert.match(why, /2 wait for it, more than half/);
    for (const stream of streams) stream.leave();
    for (const reply of await Promise.all(replies)) assert.equal(reply.status, 200);
  },
);

scenario(
  "in the queue of a model high requests are served before normal ones, and those before low ones",
  {
    policy: BOUNDED,
    models: { a: taking(0.8, { extra_args: ["--max-num-seqs", "1"], mock: { itl_ms: 20 } }) },
  },
  async (stage) => {
    await serves(stage, "a");
    const running = stage.client.ask("a", { tokens: 50 });
    await stage.log.until("waiter let in", { model: "a", waiter: 2 });
    const order: string[] = [];
    const replies: Promise<unknown>[] = [];
    for (const priority of ["low", "normal", "high", "low", "normal", "high"]) {
      const depth = replies.length + 1;
      replies.push(stage.client.ask("a", { tokens: 2, ...asked(priority) }).then(() => order.push(priority)));
      await stage.log.until("waiter queued", { model: "a", depth });
    }
    await Promise.all([running, ...replies]);
    assert.deepEqual(order, ["high", "high", "normal", "normal", "low", "low"]);
  },
);

scenario("a priority that does not exist is refused, and the model is not woken for it", setup, async (stage) => {
  const refused = await stage.client.ask("a", asked("urgent"));
  assert.equal(refused.status, 400);
  assert.match(refused.error?.message ?? "", /x-llmux-priority must be low, normal or high, and it is "urgent"/);
  assert.deepEqual(stage.log.all("engine starting"), []);
});
