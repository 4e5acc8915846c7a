/** llmux that is killed with -9, and started again beside what it has left; and two that want the same state folder. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/until.ts";
import { freePort } from "./support/free-port.ts";
import { isAlive, markedProcesses } from "./support/marked-processes.ts";
import { scenario } from "./support/scenario.ts";

scenario(
  "after a kill -9 with one engine awake and one asleep, the next start ends both and serves",
  {},
  async (stage) => {
    const first = await stage.client.ask("a");
    await stage.client.ask("b");
    await stage.log.until("model asleep", { model: "a" });
    const left = [await stage.engine("a"), await stage.engine("b")].flatMap(({ apiPid, corePid }) => [apiPid, corePid]);
    await stage.llmux.end("SIGKILL");
    for (const pid of left) assert.ok(isAlive(pid), "an engine has ended with llmux, and there is nothing to clean up");
    await stage.start();
    for (const pid of left) assert.ok(!isAlive(pid), `${pid} is left`);
    for (const model of ["a", "b"]) await stage.log.until("leftover engine ended", { model });
    const again = await stage.client.ask("a");
    assert.equal(again.status, 200);
    assert.equal(again.text, first.text);
    assert.equal((await stage.client.ask("b")).status, 200);
  },
);

scenario(
  "after a kill -9 in the middle of a start, the next start ends the half-started engine and serves",
  {},
  async (stage) => {
    stage.order("a", { "never-ready": { times: 1 } });
    const broken = assert.rejects(stage.client.ask("a"));
    await stage.log.until("engine progress", { model: "a", stage: "loading weights" });
    const { apiPid, corePid } = await stage.engine("a");
    await stage.llmux.end("SIGKILL");
    await broken;
    await stage.start();
    for (const pid of [apiPid, corePid]) assert.ok(!isAlive(pid), `${pid} is left`);
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

scenario(
  "after a kill -9 with a stream running, its client sees it broken, and the next start serves",
  {
    models: { a: { mock: { itl_ms: 20 } }, b: {} },
  },
  async (stage) => {
    const stream = await stage.client.stream("a", { tokens: 5_000 });
    await stream.begun();
    await stage.llmux.end("SIGKILL");
    assert.equal(await stream.ended, "broken off");
    await stage.start();
    assert.equal((await stage.client.ask("b")).status, 200);
  },
);

scenario(
  "an engine whose API server was killed together with llmux is cleaned up by the next start all the same",
  {},
  async (stage) => {
    await stage.client.ask("a");
    const { apiPid, corePid } = await stage.engine("a");
    stage.llmux.signal("SIGKILL");
    process.kill(apiPid, "SIGKILL");
    await stage.llmux.exited;
    await until("the API server is gone", () => !isAlive(apiPid));
    assert.ok(isAlive(corePid), "EngineCore outlives its API server and holds the GPU");
    await stage.start();
    assert.ok(!isAlive(corePid));
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

scenario("a record whose process has ended meanwhile harms nobody", {}, async (stage) => {
  await stage.client.ask("a");
  const { apiPid } = await stage.engine("a");
  stage.llmux.signal("SIGKILL");
  process.kill(-apiPid, "SIGKILL");
  await stage.llmux.exited;
  await until("nobody is left", () => markedProcesses(stage.marker).length === 0);
  assert.deepEqual(stage.records(), ["a.json"]);
  await stage.start();
  assert.deepEqual(stage.records(), []);
  assert.equal((await stage.client.ask("a")).status, 200);
});

scenario(
  "a second llmux on the same state folder is refused, and the first one goes on undisturbed",
  {},
  async (stage) => {
    await stage.client.ask("a");
    const first = stage.llmux;
    const { apiPid } = await stage.engine("a");
    const second = stage.launch(stage.writeConfig({ port: await freePort() }, "second.yaml"));
    assert.deepEqual(await second.exited, { code: 1, signal: null });
    await second.log.ended;
    const [refusal] = second.log.all("not started");
    assert.match(String(refusal?.["reason"]), new RegExp(`another llmux \\(pid ${first.pid}\\) runs with state_dir`));
    assert.ok(isAlive(apiPid));
    assert.equal((await stage.model("a")).state, "awake");
    assert.equal((await stage.client.ask("b")).status, 200);
    assert.equal((await stage.client.ask("a")).status, 200);
    assert.equal(first.log.all("engine crashed").length, 0);
  },
);

scenario("a llmux whose port is taken says so, exits with 1 and leaves nothing", {}, async (stage) => {
  await stage.client.ask("a");
  const second = stage.launch(stage.writeConfig({ state_dir: `${stage.folder}/second` }, "second.yaml"));
  assert.deepEqual(await second.exited, { code: 1, signal: null });
  await second.log.ended;
  assert.match(String(second.log.all("not started")[0]?.["reason"]), /cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/);
  assert.equal((await stage.client.ask("a")).status, 200);
});

scenario(
  "a second llmux does not touch the first one's engines, even when somebody has removed the lock",
  {},
  async (stage) => {
    await stage.client.ask("a");
    const { apiPid } = await stage.engine("a");
    rmSync(join(stage.stateDir, "llmux.lock"));
    const second = stage.launch(stage.writeConfig({ port: await freePort() }, "second.yaml"));
    assert.deepEqual(await second.exited, { code: 1, signal: null });
    await second.log.ended;
    assert.match(String(second.log.all("not started")[0]?.["reason"]), /another llmux runs with this state_dir/);
    assert.ok(isAlive(apiPid));
    assert.equal((await stage.client.ask("a")).status, 200);
  },
);

scenario(
  "a second signal while a start still ends what an earlier run has left ends llmux at once, and the next start goes on with it",
  {
    engine_timeouts: { stop_grace_secs: 6 },
  },
  async (stage) => {
    stage.order("a", { "ignore-sigterm": true });
    await stage.client.ask("a");
    const { apiPid } = await stage.engine("a");
    await stage.llmux.end("SIGKILL");
    const second = stage.launch(stage.writeConfig());
    await second.log.until("leftover engine found");
    const beganAtMs = performance.now();
    second.signal("SIGTERM");
    const { code } = await second.end("SIGINT");
    // Two signals at once may change places on their way.
    assert.ok(code === 130 || code === 143, `exit code ${code}`);
    assert.ok(performance.now() - beganAtMs < 4_000, "it has waited for the engine that does not end");
    assert.deepEqual(second.log.all("listening"), []);
    await stage.start();
    assert.ok(!isAlive(apiPid));
    assert.equal((await stage.client.ask("b")).status, 200);
  },
);
