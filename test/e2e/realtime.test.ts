/** Realtime sessions through the real program: WebSockets that wake models, hold them awake, and end when they must. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { until } from "../support/until.ts";
import { APPEND, COMMIT, RealtimeSession } from "./support/realtime-session.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import type { Stage } from "./support/stage.ts";

/** Resolves when the log has a session of `a` that ended like this. */
async function recorded(stage: Stage, outcome: "served" | "failed", status: number): Promise<void> {
  await stage.log.until(`request ${outcome}`, { route: "/v1/realtime", model: "a", status });
}

for (const [what, query] of [
  ["in the query", "?model=a"],
  ["in its first message", ""],
] as const) {
  scenario(`a session that names a sleeping model ${what} wakes it, and talks with it`, {}, async (stage) => {
    await serves(stage, "a", "b");
    await stage.log.until("model asleep", { model: "a" });
    const session = new RealtimeSession(stage, query);
    const text = await session.converse("a");
    assert.match(text, /^\S+ \S+$/);
    assert.equal(session.types.filter((type) => type === "session.created").length, 1);
    assert.equal((await stage.model("a")).state, "awake");
    assert.equal(await session.converse("a"), text, "the same audio is the same words");
    session.close();
    assert.equal(await session.closed, 1005);
    await recorded(stage, "served", 101);
    await until("the engine has seen it end", async () => (await stage.requestCounts("a"))["running"] === 0);
  });
}

scenario(
  "an engine that knows its model by another name is asked by that name",
  { models: { a: { upstream_model: "org/a-7b", aliases: ["first"] }, b: {} } },
  async (stage) => {
    for (const query of ["?model=a", "?model=first", ""]) {
      const session = new RealtimeSession(stage, query);
      assert.match(await session.converse(query === "" ? "first" : "a"), /^\S+ \S+$/);
      assert.ok(!session.types.includes("error"));
      session.close();
      await session.closed;
    }
    const stranger = new RealtimeSession(stage, "?model=a");
    await stranger.heard("session.created");
    stranger.say({ type: "session.update", model: "b" });
    assert.match(JSON.stringify(await stranger.heard("error")), /model_not_found/);
    stranger.close();
    await stranger.closed;
  },
);

scenario("sessions and requests of one model go on beside each other", {}, async (stage) => {
  const sessions = [new RealtimeSession(stage, "?model=a"), new RealtimeSession(stage)];
  const [texts] = await Promise.all([
    Promise.all(sessions.map((session) => session.converse("a"))),
    serves(stage, "a", "a"),
  ]);
  assert.equal(texts[0], texts[1]);
  for (const session of sessions) session.close();
  for (const { closed } of sessions) await closed;
});

scenario("a session without a model that there is ends with 1008, and wakes nobody", {}, async (stage) => {
  const session = new RealtimeSession(stage);
  await session.heard("session.created");
  session.say({ type: "session.update", model: "z" });
  assert.equal(await session.closed, 1008);
  assert.match(JSON.stringify(session.events.at(-1)), /"code":"model_not_found"/);
  assert.deepEqual(stage.log.all("engine starting"), []);
});

scenario("an engine that is killed ends its session with an error, and the next one works", {}, async (stage) => {
  const session = new RealtimeSession(stage, "?model=a");
  const text = await session.converse("a");
  session.say(COMMIT, APPEND);
  await until("it talks", () => session.types.filter((type) => type === "transcription.delta").length === 3);
  process.kill(-(await stage.engine("a")).apiPid, "SIGKILL");
  assert.equal(await session.closed, 1011);
  assert.equal(session.events.at(-1)?.type, "error");
  await recorded(stage, "failed", 502);
  const next = new RealtimeSession(stage, "?model=a");
  assert.equal(await next.converse("a"), text);
  next.close();
  await next.closed;
});

scenario("an API server whose engine has died says good-bye itself, and the next session works", {}, async (stage) => {
  const session = new RealtimeSession(stage, "?model=a");
  await session.converse("a");
  process.kill((await stage.engine("a")).corePid, "SIGKILL");
  assert.equal(await session.closed, 1012);
  const next = new RealtimeSession(stage, "?model=a");
  await next.converse("a");
  next.close();
  await next.closed;
});

scenario(
  "an engine that dies while a session waits for it is started again, and nothing that was said is lost",
  {},
  async (stage) => {
    stage.order("a", { "never-ready": { times: 1 } });
    const session = new RealtimeSession(stage);
    await session.heard("session.created");
    session.say({ type: "session.update", model: "a" }, COMMIT, APPEND, { ...COMMIT, final: true });
    await stage.log.until("engine progress", { model: "a", stage: "loading weights" });
    const { apiPid } = await stage.engine("a");
    process.kill(-apiPid, "SIGKILL");
    await session.heard("transcription.done");
    session.close();
    await session.closed;
  },
);

scenario("a client that vanishes in the middle frees its engine and its model", {}, async (stage) => {
  const socket = connect(stage.port, "127.0.0.1");
  socket.write(HANDSHAKE);
  let heard = "";
  socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
  await until("it is greeted", () => heard.includes("session.created"));
  assert.equal((await stage.requestCounts("a"))["running"], 1);
  socket.resetAndDestroy();
  await until("its engine has noticed", async () => (await stage.requestCounts("a"))["running"] === 0);
  await serves(stage, "b");
});

scenario(
  "a model with an open session stays until the session ends, and then the other one is served",
  {},
  async (stage) => {
    const session = new RealtimeSession(stage, "?model=a");
    await session.converse("a");
    const other = stage.client.ask("b");
    await stage.log.until("model draining", { model: "a" });
    assert.equal(await session.converse("a").then(Boolean), true, "it is not disturbed");
    assert.deepEqual(stage.log.all("engine starting", { model: "b" }), []);
    session.close();
    assert.equal((await other).status, 200);
  },
);

scenario(
  "with drain_timeout_secs a session is told to come back, and the other model is served",
  { policy: { drain_timeout_secs: 0.5 } },
  async (stage) => {
    const session = new RealtimeSession(stage, "?model=a");
    await session.converse("a");
    assert.equal((await stage.client.ask("b")).status, 200);
    assert.equal(await session.closed, 1013);
    assert.match(JSON.stringify(session.events.at(-1)), /"code":"drain_timeout"/);
    const next = new RealtimeSession(stage, "?model=a");
    await next.converse("a");
    next.close();
    await next.closed;
  },
);

scenario("a session that waits for a model in use gets it when that one is free", {}, async (stage) => {
  const stream = await stage.client.stream("a", { tokens: 40 });
  await stream.begun();
  const session = new RealtimeSession(stage, "?model=b");
  assert.match(await session.converse("b"), /^\S+ \S+$/);
  assert.equal(await stream.ended, "complete");
  session.close();
  await session.closed;
});

scenario("when llmux ends its sessions end with 1001", { top: { shutdown_timeout_secs: 1 } }, async (stage) => {
  const talking = new RealtimeSession(stage, "?model=a");
  await talking.converse("a");
  const nameless = new RealtimeSession(stage);
  await nameless.heard("session.created");
  const ended = stage.llmux.end("SIGTERM");
  assert.equal(await nameless.closed, 1001);
  assert.equal(await talking.closed, 1001);
  assert.deepEqual(await ended, { code: 0, signal: null });
});

const HANDSHAKE =
  "GET /v1/realtime?model=a HTTP/1.1\r\nhost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
