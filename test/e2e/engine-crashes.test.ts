/** Engines that are killed in each of their states: what clients see, and that the next request works. */
import assert from "node:assert/strict";
import type { Reply } from "./support/client.ts";
import { scenario } from "./support/scenario.ts";
import type { Stage } from "./support/stage.ts";

type When = "awake" | "starting" | "falling asleep" | "asleep" | "waking";
type Who = "all of its processes" | "only its API server" | "only its EngineCore";

/** In an object, so that to await the state is not to await the reply. */
interface Waiting {
  readonly reply: Promise<Reply> | null;
}

/** Brings the engine of `a` to a state, and returns the request that waits for what comes after it. */
const BRING_TO: Readonly<Record<When, (stage: Stage) => Promise<Waiting>>> = {
  async awake({ client }) {
    await client.ask("a");
    return { reply: null };
  },
  async starting(stage) {
    stage.order("a", { "never-ready": { times: 1 } });
    const reply = stage.client.ask("a");
    await stage.log.until("engine progress", { model: "a", stage: "loading weights" });
    return { reply };
  },
  async "falling asleep"(stage) {
    await stage.client.ask("a");
    stage.order("a", { "sleep-hang": { times: 1, value: "after" } });
    const reply = stage.client.ask("b");
    await stage.log.until("model falling asleep", { model: "a" });
    await stage.struck("a");
    return { reply };
  },
  async asleep({ client, log }) {
    await client.ask("a");
    await client.ask("b");
    await log.until("model asleep", { model: "a" });
    return { reply: null };
  },
  async waking(stage) {
    await stage.client.ask("a");
    await stage.client.ask("b");
    stage.order("a", { "wake-hang": { times: 1, value: "after" } });
    const reply = stage.client.ask("a");
    await stage.log.until("model waking", { model: "a" });
    await stage.struck("a");
    return { reply };
  },
};

async function kill(stage: Stage, who: Who): Promise<void> {
  const { apiPid, corePid } = await stage.engine("a");
  process.kill(
    { "all of its processes": -apiPid, "only its API server": apiPid, "only its EngineCore": corePid }[who],
    9,
  );
}

// An API server whose core is dead ends itself a moment later; how long the moment is does not matter here.
const setup = { models: { a: { mock: { dead_ms: 20 } }, b: {}, c: {} } };

for (const who of ["all of its processes", "only its API server", "only its EngineCore"] as const) {
  for (const when of ["awake", "starting", "falling asleep", "asleep", "waking"] as const) {
    // A start that ends in good order has said why, and that is an answer of its own: see below.
    if (who === "only its EngineCore" && when === "starting") continue;
    scenario(`an engine of which ${who} are killed while it is ${when} costs no request`, setup, async (stage) => {
      const { reply } = await BRING_TO[when](stage);
      await kill(stage, who);
      await stage.log.until("engine crashed", { model: "a", during: when });
      if (reply !== null) assert.equal((await reply).status, 200);
      await stage.log.until("engine stopped", { model: "a" });
      assert.equal((await stage.client.ask("a")).status, 200);
      assert.equal((await stage.client.ask("b")).status, 200);
    });
  }
}

scenario(
  "a start whose EngineCore is killed fails with a reason, and works when it is tried again",
  {},
  async (stage) => {
    const { reply } = await BRING_TO.starting(stage);
    await kill(stage, "only its EngineCore");
    const refused = await reply;
    assert.equal(refused?.status, 503);
    assert.equal(refused.error?.code, "start_failed");
    assert.match(refused.error.message, /exited with code 1 before it was ready/);
    assert.equal(refused.headers["retry-after"], "2");
    assert.equal((await stage.client.ask("b")).status, 200, "another model is not held up");
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

for (const fault of ["crash-api-on-request", "crash-engine-on-request"] as const) {
  scenario(
    `a request whose engine dies (${fault}) before the first byte is answered by the next engine`,
    setup,
    async (stage) => {
      const before = await stage.client.ask("a");
      stage.order("a", { [fault]: { times: 1 } });
      const reply = await stage.client.ask("a");
      assert.equal(reply.status, 200);
      assert.equal(reply.text, before.text);
      assert.equal(stage.log.all("engine crashed", { model: "a", during: "awake" }).length, 1);
    },
  );

  scenario(`a request that kills every engine (${fault}) ends with 502 and not in a loop`, setup, async (stage) => {
    await stage.client.ask("a");
    stage.order("a", { [fault]: true });
    const reply = await stage.client.ask("a");
    assert.equal(reply.status, 502);
    assert.equal(reply.error?.code, "engine_crashed");
    assert.equal(reply.headers["x-should-retry"], "false");
    stage.order("a", {});
    assert.equal((await stage.client.ask("b")).status, 200);
  });
}

scenario("an engine whose core dies of a request is started anew for the next one", setup, async (stage) => {
  await stage.client.ask("a");
  stage.order("a", { "crash-engine-on-request": { times: 1 } });
  await stage.client.ask("a");
  await stage.log.until("engine stopped", { model: "a" });
  assert.equal((await stage.client.ask("a")).status, 200);
  assert.equal((await stage.client.ask("b")).status, 200);
});

/** The connection breaks a moment before the process is known to have ended: either may be the reason that is told. */
const ENGINE_DIED = /^engine_(crashed|unreachable)$/;

scenario("a stream whose API server dies ends with an error event and a broken connection", setup, async (stage) => {
  stage.order("a", { "crash-api-after-chunks": { times: 1, value: "3" } });
  const stream = await stage.client.stream("a", { tokens: 20 });
  assert.equal(stream.status, 200);
  assert.equal(await stream.ended, "broken off");
  assert.match(stream.error?.code ?? "", ENGINE_DIED);
  assert.ok(stream.pieces >= 1 && stream.pieces < 20);
  const next = await stage.client.stream("a", { tokens: 20 });
  assert.equal(await next.ended, "complete");
  assert.equal(next.pieces, 20);
});

scenario("a stream whose EngineCore dies ends with the error event of its API server", setup, async (stage) => {
  stage.order("a", { "crash-engine-after-chunks": { times: 1, value: "3" } });
  const stream = await stage.client.stream("a", { tokens: 20 });
  await stream.ended;
  assert.match(stream.error?.message ?? "", /EngineCore encountered an issue/);
  assert.ok(stream.pieces >= 1 && stream.pieces < 20);
  await stage.log.until("engine stopped", { model: "a" });
  const next = await stage.client.stream("a", { tokens: 20 });
  assert.equal(await next.ended, "complete");
  assert.equal(next.pieces, 20);
});

scenario(
  "an engine killed by pid in the middle of two streams breaks both, and serves the next",
  {
    models: { a: { mock: { itl_ms: 20 } } },
  },
  async (stage) => {
    const streams = [
      await stage.client.stream("a", { tokens: 2_000 }),
      await stage.client.stream("a", { tokens: 2_000 }),
    ];
    for (const stream of streams) await stream.begun();
    await kill(stage, "all of its processes");
    for (const stream of streams) {
      assert.equal(await stream.ended, "broken off");
      assert.match(stream.error?.code ?? "", ENGINE_DIED);
    }
    assert.equal((await stage.client.ask("a")).status, 200);
    assert.equal((await stage.model("a")).in_flight, 0);
  },
);

scenario(
  "a stream that has not begun when its engine is killed is answered whole by the next engine",
  {
    models: { a: { mock: { ttft_ms: 400 } } },
  },
  async (stage) => {
    await stage.client.ask("a");
    const coming = stage.client.stream("a", { tokens: 20 });
    await stage.log.until("waiter let in", { model: "a", waiter: 2 });
    await kill(stage, "all of its processes");
    const stream = await coming;
    assert.equal(await stream.ended, "complete");
    assert.equal(stream.pieces, 20);
    assert.equal(stage.log.all("engine crashed").length, 1);
  },
);
