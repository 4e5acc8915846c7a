/** The real program with two workers: clients, engines, operators and the end see no difference. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { Agent, request } from "undici";
import { createKey, hashOfKey } from "../../src/base/api-key.ts";
import { until } from "../support/until.ts";
import { Client } from "./support/client.ts";
import { freePort } from "./support/free-port.ts";
import { RealtimeSession } from "./support/realtime-session.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import type { Stage } from "./support/stage.ts";

const SLOW = { mock: { itl_ms: 20 } };

/** How many sockets listen on the port of llmux, as the system tells. */
function listeners(stage: Stage): number {
  const address = `0100007F:${stage.port.toString(16).toUpperCase().padStart(4, "0")}`;
  const sockets = readFileSync("/proc/net/tcp", "utf8").split("\n");
  return sockets.filter((line) => line.includes(` ${address} 00000000:0000 0A `)).length;
}

/** A client for each connection: all of them together are with both workers, with a probability that leaves no doubt. */
async function withClients(stage: Stage, count: number, work: (clients: readonly Client[]) => Promise<void>) {
  const clients = Array.from({ length: count }, () => new Client(stage.port));
  try {
    await work(clients);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

scenario(
  "two workers listen on the port of the configuration, and models take turns for the clients of both",
  { top: { workers: 2 } },
  async (stage) => {
    assert.equal(listeners(stage), 2);
    const texts = { a: (await stage.client.ask("a")).text, b: (await stage.client.ask("b")).text };
    assert.notEqual(texts.a, texts.b);
    await withClients(stage, 12, async (clients) => {
      for (let round = 0; round < 3; round += 1) {
        const replies = await Promise.all(clients.map((client, at) => client.ask(at % 2 === 0 ? "a" : "b")));
        for (const [at, { status, text }] of replies.entries()) {
          assert.deepEqual([status, text], [200, at % 2 === 0 ? texts.a : texts.b]);
        }
      }
    });
    assert.equal((await stage.model("a")).in_flight + (await stage.model("b")).in_flight, 0);
    assert.equal(stage.log.all("lease released", { outcome: "served" }).length, 38);
  },
);

scenario(
  "a client that leaves is noticed by the engine, whichever worker it is with, and the other clients are not disturbed",
  { top: { workers: 2 }, models: { a: SLOW, b: {} } },
  async (stage) => {
    await withClients(stage, 8, async (clients) => {
      const streams = await Promise.all(clients.map((client) => client.stream("a", { tokens: 5_000 })));
      const whole = await stage.client.stream("a", { tokens: 100 });
      for (const stream of [...streams, whole]) await stream.begun();
      assert.equal((await stage.model("a")).in_flight, 9);
      for (const stream of streams) stream.leave();
      await until("the engine has stopped working on them", async () => {
        const { "client gone": gone } = await stage.requestCounts("a");
        return gone === 8;
      });
      await until("their leases are back", async () => (await stage.model("a")).in_flight <= 1);
      assert.equal(await whole.ended, "complete");
      assert.equal(whole.pieces, 100);
    });
    assert.equal(stage.log.all("lease released", { outcome: "abandoned" }).length, 8);
  },
);

scenario(
  "realtime sessions of both workers talk beside each other, hold their model awake, and end with their engine",
  { top: { workers: 2, shutdown_timeout_secs: 1 } },
  async (stage) => {
    const sessions = Array.from({ length: 8 }, (_, at) => new RealtimeSession(stage, at % 2 === 0 ? "?model=a" : ""));
    const texts = await Promise.all(sessions.map((session) => session.converse("a")));
    assert.deepEqual(texts, Array(8).fill(texts[0]));
    assert.equal((await stage.model("a")).in_flight, 8);
    const other = new RealtimeSession(stage, "?model=b");
    await stage.log.until("model draining", { model: "a" });
    const leaving = sessions.splice(0, 4);
    for (const session of leaving) session.close();
    for (const { closed } of leaving) assert.equal(await closed, 1005);
    await until("their leases are back", async () => (await stage.model("a")).in_flight === 4);
    assert.equal(await sessions[0]?.converse("a"), texts[0], "the others are not disturbed");
    assert.deepEqual(stage.log.all("engine starting", { model: "b" }), []);
    process.kill(-(await stage.engine("a")).apiPid, "SIGKILL");
    for (const { closed } of sessions) assert.equal(await closed, 1011);
    assert.match(await other.converse("b"), /^\S+ \S+$/);
    const ended = stage.llmux.end("SIGTERM");
    assert.equal(await other.closed, 1001);
    assert.deepEqual(await ended, { code: 0, signal: null });
  },
);

const KEY = createKey();

scenario(
  "what a key may have in progress and make in a minute counts over both workers",
  {
    models: { a: SLOW, b: {} },
    top: {
      workers: 2,
      api_keys: [{ name: "one", hash: hashOfKey(KEY), max_in_flight: 3, requests_per_minute: 8 }],
    },
  },
  async (stage) => {
    const headers = { authorization: `Bearer ${KEY}` };
    await withClients(stage, 24, async (clients) => {
      const held = await Promise.all(
        clients.slice(0, 3).map((client) => client.stream("a", { tokens: 5_000, headers })),
      );
      for (const stream of held) await stream.begun();
      for (const { status, error } of await Promise.all(clients.slice(3, 12).map((one) => one.ask("a", { headers })))) {
        assert.deepEqual([status, error?.code], [429, "too_many_in_flight"]);
      }
      for (const stream of held) stream.leave();
      await until("they have gone", async () => (await stage.model("a")).in_flight === 0);
      const statuses = [];
      for (const client of clients.slice(12)) statuses.push((await client.ask("a", { headers })).status);
      assert.equal(statuses.filter((status) => status === 200).length, 5, String(statuses));
      assert.equal(statuses.filter((status) => status === 429).length, 7, String(statuses));
    });
  },
);

scenario(
  "an engine that is killed under requests of both workers is started again, and all of them are answered",
  { top: { workers: 2 }, models: { a: { mock: { ttft_ms: 300 } }, b: {} } },
  async (stage) => {
    await serves(stage, "a");
    const { apiPid } = await stage.engine("a");
    await withClients(stage, 10, async (clients) => {
      const replies = clients.map((client) => client.ask("a"));
      await until("all of them run", async () => (await stage.model("a")).in_flight === 10);
      process.kill(-apiPid, "SIGKILL");
      for (const { status } of await Promise.all(replies)) assert.equal(status, 200);
    });
    assert.equal(stage.log.all("engine crashed", { model: "a" }).length, 1);
  },
);

scenario(
  "after SIGTERM streams of both workers go on to their end, and those that take too long get an error event",
  { top: { workers: 2, shutdown_timeout_secs: 1.5 }, models: { a: SLOW, b: {} } },
  async (stage) => {
    await withClients(stage, 12, async (clients) => {
      const short = await Promise.all(clients.slice(0, 6).map((client) => client.stream("a", { tokens: 20 })));
      const long = await Promise.all(clients.slice(6).map((client) => client.stream("a", { tokens: 5_000 })));
      for (const stream of [...short, ...long]) await stream.begun();
      const ended = stage.llmux.end("SIGTERM");
      for (const stream of short) assert.equal(await stream.ended, "complete");
      for (const stream of long) {
        assert.equal(await stream.ended, "broken off");
        assert.equal(stream.error?.code, "shutting_down");
      }
      assert.deepEqual(await ended, { code: 0, signal: null });
    });
  },
);

scenario(
  "a second signal ends two workers and their engines at once",
  { top: { workers: 2 }, models: { a: SLOW, b: {} } },
  async (stage) => {
    const stream = await stage.client.stream("a", { tokens: 5_000 });
    await stream.begun();
    stage.llmux.signal("SIGTERM");
    await stage.log.until("shutdown started");
    assert.deepEqual(await stage.llmux.end("SIGTERM"), { code: 143, signal: null });
    assert.equal(await stream.ended, "broken off");
    await stage.assertNobodyLeft();
    // Records may be left: the next start finds that nothing of them runs.
    await stage.start();
    await serves(stage, "a");
  },
);

scenario("a port that is taken is an error that names it, with workers too", { top: { workers: 2 } }, async (stage) => {
  const second = stage.launch(stage.writeConfig({ state_dir: `${stage.folder}/other` }, "other.yaml"));
  const { reason } = await second.log.until("not started");
  assert.match(String(reason), new RegExp(`cannot listen on 127\\.0\\.0\\.1:${stage.port}: .*EADDRINUSE`));
  assert.deepEqual(await second.exited, { code: 1, signal: null });
  await serves(stage, "a");
});

const ADMIN_KEY = createKey();

scenario(
  "metrics, the status and operators' orders are those of all workers together",
  { start: false },
  async (stage) => {
    const metrics_port = await freePort();
    const record_trace = `${stage.folder}/trace.csv`;
    const more = { workers: 2, metrics_port, admin_key: hashOfKey(ADMIN_KEY), record_trace };
    const llmux = stage.launch(stage.writeConfig(more));
    await llmux.log.until("listening");
    await withClients(stage, 12, async (clients) => {
      for (const { status } of await Promise.all(clients.map((client) => client.ask("a")))) assert.equal(status, 200);
      const dispatcher = new Agent();
      const fetchText = async (path: string, method: "GET" | "POST" = "GET"): Promise<string> => {
        const headers = { authorization: `Bearer ${ADMIN_KEY}` };
        return (await request(`http://127.0.0.1:${metrics_port}${path}`, { dispatcher, headers, method })).body.text();
      };
      const isCounted = async (): Promise<boolean> =>
        /llmux_requests_total\{[^}]*model="a"[^}]*\} 12\n/.test(await fetchText("/metrics"));
      await until("all twelve are counted", isCounted);
      const { models } = JSON.parse(await fetchText("/status")) as { models: { id: string; state: string }[] };
      assert.equal(models.find(({ id }) => id === "a")?.state, "awake");
      await dispatcher.close();
    });
    await until("the trace is written", () => {
      const isThere = readdirSync(stage.folder).includes("trace.csv");
      return isThere && readFileSync(record_trace, "utf8").trim().split("\n").length === 13;
    });
  },
);
