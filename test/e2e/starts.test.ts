/** Starts that are asked for by many, by nobody any more, or that fail: what clients see, and that the next request works. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./support/free-port.ts";
import { scenario } from "./support/scenario.ts";

const MOCK_VLLM = fileURLToPath(new URL("../../bin/mock-vllm.js", import.meta.url));
const FIRST_BACKOFF_MS = 2_000;

/** What a process was started with. */
function tunablesOf(pid: number): string | undefined {
  const variables = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
  return variables.find((variable) => variable.startsWith("GLIBC_TUNABLES="));
}

scenario(
  "how llmux has the C library use memory is no matter of its engines",
  { models: { a: {}, b: { env: { GLIBC_TUNABLES: "glibc.malloc.arena_max=3" } } } },
  async (stage) => {
    await stage.client.ask("a");
    assert.equal(tunablesOf(stage.llmux.pid), "GLIBC_TUNABLES=glibc.malloc.arena_max=0x2");
    assert.equal(tunablesOf((await stage.engine("a")).apiPid), undefined);
    await stage.client.ask("b");
    assert.equal(tunablesOf((await stage.engine("b")).apiPid), "GLIBC_TUNABLES=glibc.malloc.arena_max=3");
  },
);

scenario("a hundred requests for a cold model cause one start, and all are served", {}, async ({ client, log }) => {
  const replies = await Promise.all(Array.from({ length: 100 }, () => client.ask("a")));
  assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([200]));
  assert.equal(log.all("engine starting").length, 1);
});

scenario(
  "a start goes on when its only client leaves, and serves the next one at once",
  {
    models: { a: { mock: { load_ms: 800 } } },
  },
  async ({ client, log }) => {
    const leaving = new AbortController();
    const left = client.ask("a", {}, leaving.signal);
    await log.until("engine started", { model: "a" });
    leaving.abort();
    await assert.rejects(left);
    await log.until("waiter left", { model: "a" });
    await log.until("model awake", { model: "a" });
    assert.equal((await client.ask("a")).status, 200);
    await log.until("waiter let in", { model: "a", waiter: 2, waited_ms: 0 });
    assert.equal(log.all("engine starting").length, 1);
  },
);

scenario(
  "a client that leaves during a start takes nobody else with it",
  {
    models: { a: { mock: { load_ms: 800 } } },
  },
  async ({ client, log }) => {
    const leaving = new AbortController();
    const left = client.ask("a", {}, leaving.signal);
    const stays = client.ask("a");
    await log.until("waiter queued", { model: "a", depth: 2 });
    await log.until("engine started", { model: "a" });
    leaving.abort();
    await assert.rejects(left);
    assert.equal((await stays).status, 200);
    assert.equal(log.all("engine starting").length, 1);
  },
);

scenario(
  "a request that has waited too long gets 504, and the start that it asked for goes on",
  {
    policy: { request_timeout_secs: 0.5 },
    models: { a: { mock: { load_ms: 1_500 } } },
  },
  async ({ client, log }) => {
    const refused = await client.ask("a");
    assert.equal(refused.status, 504);
    assert.equal(refused.error?.code, "queue_timeout");
    assert.match(refused.error.message, /model a was not awake within 0\.5 s/);
    await log.until("model awake", { model: "a" });
    assert.equal((await client.ask("a")).status, 200);
    assert.equal(log.all("engine starting").length, 1);
  },
);

scenario(
  "an engine that never gets healthy is stopped when its time is over, and the client hears how far it came",
  {
    models: { a: { startup_timeout_secs: 3 }, b: {} },
  },
  async (stage) => {
    stage.order("a", { "never-ready": { times: 1 } });
    const refused = await stage.client.ask("a");
    assert.equal(refused.status, 503);
    assert.equal(refused.error?.code, "start_failed");
    assert.match(refused.error.message, /was not ready within 3 s; its output ends with: .*Starting to load model/);
    assert.equal(refused.headers["retry-after"], "2");
    assert.equal((await stage.client.ask("b")).status, 200);
    await pause(FIRST_BACKOFF_MS);
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

scenario("an engine that is up and says for a while that it is not healthy is waited for", {}, async (stage) => {
  stage.order("a", { "health-error": { times: 5 } });
  assert.equal((await stage.client.ask("a")).status, 200);
});

scenario(
  "an engine that exits at its start tells the client why; each failure makes the next try wait longer",
  {},
  async (stage) => {
    await stage.client.ask("b");
    stage.order("a", {
      "exit-at-start": {
        times: 2,
        value: "3:OSError: org/a is not a local folder and is not a valid model identifier",
      },
    });
    for (const retryAfterS of [2, 4]) {
      const refused = await stage.client.ask("a");
      assert.equal(refused.status, 503);
      assert.equal(refused.error?.code, "start_failed");
      assert.match(refused.error.message, /exited with code 3 before it was ready; .*is not a valid model identifier/);
      assert.equal(refused.headers["retry-after"], String(retryAfterS));
      const since = stage.log.now;
      assert.equal((await stage.client.ask("a")).status, 503);
      assert.deepEqual(stage.log.all("engine starting", {}, since), [], "it is left alone");
      assert.equal((await stage.client.ask("b")).status, 200);
      await pause(1_000 * retryAfterS);
    }
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

scenario("an engine that exits with code 0 before it is ready has failed all the same", {}, async (stage) => {
  stage.order("a", { "exit-at-start": { times: 1, value: "0:bye" } });
  const refused = await stage.client.ask("a");
  assert.equal(refused.status, 503);
  assert.match(refused.error?.message ?? "", /exited with code 0 before it was ready/);
  assert.equal((await stage.client.ask("b")).status, 200);
});

scenario(
  "a command that does not exist is an error of the model, and works as soon as it exists",
  { start: false },
  async (stage) => {
    const command = join(stage.folder, "vllm");
    const llmux = stage.launch(stage.writeConfig({ vllm_command: command }));
    await llmux.log.until("listening");
    const refused = await stage.client.ask("a");
    assert.equal(refused.status, 503);
    assert.equal(refused.error?.code, "start_failed");
    assert.match(refused.error.message, /the engine of a cannot be started: .*ENOENT/);
    writeFileSync(command, `#!/bin/sh\nexec ${process.execPath} ${MOCK_VLLM} "$@"\n`);
    chmodSync(command, 0o755);
    assert.equal((await stage.client.ask("b")).status, 200);
    await pause(FIRST_BACKOFF_MS);
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

scenario(
  "a port that somebody else has is an error of the model, and works as soon as it is free",
  { start: false },
  async (stage) => {
    const port = await freePort();
    const squatter = createServer().listen(port, "127.0.0.1");
    await once(squatter, "listening");
    try {
      const models = { a: { model_path: "org/a", port, extra_args: ["--gpu-memory-utilization", "0.8"] } };
      const llmux = stage.launch(stage.writeConfig({ models }));
      await llmux.log.until("listening");
      const refused = await stage.client.ask("a");
      assert.equal(refused.status, 503);
      assert.match(
        refused.error?.message ?? "",
        new RegExp(`port ${port} for the engine of a cannot be used: .*EADDRINUSE`),
      );
    } finally {
      squatter.close();
    }
    await pause(FIRST_BACKOFF_MS);
    assert.equal((await stage.client.ask("a")).status, 200);
    assert.equal((await stage.model("a")).port, port);
  },
);
