/** Engines other than vLLM under the orchestrator, with a tiny server in their place. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { CommandEngine, ExternalEngine } from "../src/base/engine-settings.ts";
import type { Orchestrator } from "../src/orchestrator/orchestrator.ts";
import { claimPort } from "../src/platform/loopback-port.ts";
import { EngineGround, engineSpec } from "./support/engine-ground.ts";
import { isWell } from "./support/is-well.ts";
import { until } from "./support/until.ts";

const FAKE_FILE = fileURLToPath(new URL("support/fake-engine.ts", import.meta.url));
const FAKE = [process.execPath, FAKE_FILE];

function commandEngine(extra: Partial<CommandEngine> = {}): CommandEngine {
  return {
    kind: "command",
    start: [...FAKE, "${PORT}"],
    stop: null,
    stopTimeoutMs: 10_000,
    url: "http://127.0.0.1:${PORT}",
    health: { request: "/health" },
    sleep: null,
    wake: null,
    ...extra,
  };
}

function externalEngine(port: number, extra: Partial<ExternalEngine> = {}): ExternalEngine {
  return {
    kind: "external",
    url: `http://127.0.0.1:${port}`,
    health: { request: "/health" },
    apiKeyVariable: null,
    sleep: null,
    wake: null,
    ...extra,
  };
}

async function ask(orchestrator: Orchestrator, path = "/v1/models"): Promise<Record<string, unknown>> {
  const connection = orchestrator.connection("tiny");
  assert.ok(connection !== null);
  const { body } = await connection.dispatcher.request({ origin: connection.origin, path, method: "GET" });
  return (await body.json()) as Record<string, unknown>;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** For a process that llmux knows by its address alone: the kernel closes the sockets of a process before it ends it. */
async function untilGone(pid: number): Promise<void> {
  await until(`process ${pid} is gone`, () => !isAlive(pid));
}

test("a command engine is started in the foreground with its port, its arguments and variables, and ended by signals", async () => {
  await using ground = new EngineGround();
  const engine = commandEngine({ start: [...FAKE, "--load-ms=300", "${PORT}", "--name=${MODEL}", "--on=${GPUS}"] });
  const spec = engineSpec({ engine, extraArgs: ["--more"], env: { MARK: "m" }, modelPath: "" });
  const { orchestrator, effects, start, next } = ground.orchestrate(spec);
  await start();
  const { pid, port, logFile } = orchestrator.info("tiny");
  const { args, env } = await ask(orchestrator);
  assert.deepEqual(args, ["--load-ms=300", String(port), "--name=tiny", "--on=0", "--more"]);
  assert.equal(env, "m");
  assert.match(readFileSync(logFile, "utf8"), /the fake engine is here/);
  effects.stop("tiny");
  assert.deepEqual(await next(), { kind: "stopped" });
  assert.ok(pid !== null && !isAlive(pid));
});

test("a command engine sleeps and wakes by its orders, requests and commands alike", async () => {
  await using ground = new EngineGround();
  const engine = commandEngine({
    sleep: { request: "/sleep?deep=1", json: { tags: ["all"] } },
    wake: { run: [process.execPath, "-e", "fetch('http://127.0.0.1:${PORT}/wake', {method: 'POST'})"] },
  });
  const { orchestrator, effects, start, sleep, next } = ground.orchestrate(engineSpec({ engine }));
  await start();
  await sleep(1);
  assert.equal((await ask(orchestrator))["isAsleep"], true);
  effects.wake("tiny", 1);
  assert.deepEqual(await next(), { kind: "awake" });
  assert.deepEqual(await ask(orchestrator, "/calls"), [
    `POST /sleep?deep=1 {"tags":["all"]}`,
    "GET /v1/models",
    "POST /wake",
  ]);
});

test("an order that fails says which command, and how it ended", async () => {
  await using ground = new EngineGround();
  const engine = commandEngine({ sleep: { run: ["sh", "-c", "exit 3"] }, wake: { run: ["/nowhere/to-be-found"] } });
  const { effects, start, next } = ground.orchestrate(engineSpec({ engine }));
  await start();
  effects.sleep("tiny", 1, "none");
  const slept = await next();
  assert.equal(slept.kind, "sleep failed");
  assert.match(slept.reason?.message ?? "", /sh -c "exit 3" ended with code 3/);
  effects.wake("tiny", 1);
  assert.match((await next()).reason?.message ?? "", /to-be-found cannot be run: .*ENOENT/);
});

test("one whose start returns runs elsewhere: it is known by its health, and ended by its command", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const engine = commandEngine({
    start: [...FAKE, "${PORT}", "--detach", "--load-ms=500", `--pid-file=${pidFile}`],
    stop: ["sh", "-c", `echo stopping \${MODEL}; kill $(cat ${pidFile}) && rm ${pidFile}`],
  });
  const { orchestrator, effects, start, next } = ground.orchestrate(engineSpec({ engine }));
  await start();
  const pid = Number(readFileSync(pidFile, "utf8"));
  assert.ok(isAlive(pid));
  assert.equal(orchestrator.info("tiny").pid, null);
  effects.stop("tiny");
  assert.deepEqual(await next(), { kind: "stopped" });
  await untilGone(pid);
  assert.match(readFileSync(orchestrator.info("tiny").logFile, "utf8"), /stopping tiny/);
  assert.deepEqual(ground.records, []);
});

test("a start that returns only after the engine has answered is no end of it", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const engine = commandEngine({
    start: [...FAKE, "${PORT}", "--detach", "--linger-ms=1500", `--pid-file=${pidFile}`],
    stop: ["sh", "-c", `kill $(cat ${pidFile})`],
  });
  const { orchestrator, effects, start, next, answers } = ground.orchestrate(engineSpec({ engine }));
  await start();
  assert.notEqual(orchestrator.info("tiny").pid, null);
  await until("its start has returned", () => orchestrator.info("tiny").pid === null);
  assert.equal((await ask(orchestrator))["isAsleep"], false);
  assert.deepEqual(answers, []);
  effects.stop("tiny");
  assert.deepEqual(await next(), { kind: "stopped" });
  await untilGone(Number(readFileSync(pidFile, "utf8")));
});

test("one that stays in the foreground and has a stop is ended by it, and has crashed when it ends by itself", async () => {
  await using ground = new EngineGround();
  const engine = commandEngine({ start: [...FAKE, "${PORT}", "--exit-on=/bye"], stop: ["true"] });
  const { orchestrator, start, next } = ground.orchestrate(engineSpec({ engine }));
  await start();
  await ask(orchestrator, "/bye").catch(() => {});
  assert.equal((await next()).kind, "crashed");
});

test("one that runs elsewhere and dies there has crashed", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const engine = commandEngine({
    start: [...FAKE, "${PORT}", "--detach", `--pid-file=${pidFile}`],
    stop: ["true"],
  });
  const { start, next } = ground.orchestrate(engineSpec({ engine }));
  await start();
  process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
  const { kind, reason } = await next();
  assert.equal(kind, "crashed");
  assert.match(reason?.message ?? "", /is not well any more: .*ECONNREFUSED/);
});

test("a stop that leaves it running is no stop", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const stopFile = join(ground.folder, "stop");
  const engine = commandEngine({
    start: [...FAKE, "${PORT}", "--detach", `--pid-file=${pidFile}`],
    stop: ["sh", "-c", `test -e ${stopFile} && kill $(cat ${pidFile})`],
  });
  const { effects, start, next, log } = ground.orchestrate(engineSpec({ engine }));
  await start();
  effects.stop("tiny");
  const { kind, reason } = await next();
  assert.equal(kind, "stop failed");
  assert.match(reason?.message ?? "", /still answers after sh .* ended with code 1/);
  assert.equal(log.named("stop command failed").length, 1);
  writeFileSync(stopFile, "");
});

test("a stop that ends the client of a container, and not the container, is no stop, also where it says that it was well", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const stopFile = join(ground.folder, "stop");
  const engine = commandEngine({
    // As `docker run` without -d: it stays as long as the container, and can be ended without it.
    start: [...FAKE, "${PORT}", "--detach", "--linger-ms=60000", `--pid-file=${pidFile}`],
    stop: ["sh", "-c", `test ! -e ${stopFile} || kill $(cat ${pidFile})`],
  });
  const { orchestrator, effects, start, next } = ground.orchestrate(engineSpec({ engine }));
  await start();
  const { pid } = orchestrator.info("tiny");
  assert.ok(pid !== null);
  effects.stop("tiny");
  const { kind, reason } = await next();
  assert.equal(kind, "stop failed");
  assert.match(reason?.message ?? "", /still answers after sh .* ended with 0/);
  assert.ok(!isAlive(pid) && isAlive(Number(readFileSync(pidFile, "utf8"))));
  assert.equal(ground.records.length, 1);
  writeFileSync(stopFile, "");
  effects.stop("tiny");
  assert.deepEqual(await next(), { kind: "stopped" });
  assert.deepEqual(ground.records, []);
});

test("an engine that is unwell and still answers after its stop has not ended", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const ill = "await fetch('http://127.0.0.1:${PORT}/ill')";
  const stopFile = join(ground.folder, "stop");
  const engine = commandEngine({
    start: [...FAKE, "${PORT}", "--detach", "--ill-on=/ill", `--pid-file=${pidFile}`],
    stop: ["sh", "-c", `${process.execPath} -e "${ill}" && test ! -e ${stopFile} || kill $(cat ${pidFile})`],
  });
  const { effects, start, next } = ground.orchestrate(engineSpec({ engine }));
  await start();
  effects.stop("tiny");
  assert.equal((await next()).kind, "stop failed");
  writeFileSync(stopFile, "");
});

test("what a killed llmux has left elsewhere and cannot be stopped keeps the next one from starting", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const stopFile = join(ground.folder, "stop");
  const engine = commandEngine({
    start: [...FAKE, "${PORT}", "--detach", `--pid-file=${pidFile}`],
    stop: ["sh", "-c", `test ! -e ${stopFile} || kill $(cat ${pidFile})`],
  });
  await ground.orchestrate(engineSpec({ engine })).start();
  const second = ground.orchestrate(engineSpec({ engine }));
  await assert.rejects(
    second.orchestrator.endLeftovers(),
    /tiny that an earlier run left still answers at http:\S+ after sh/,
  );
  writeFileSync(stopFile, "");
});

test("what a killed llmux has left elsewhere is stopped by its command at the next start", async () => {
  await using ground = new EngineGround();
  const pidFile = join(ground.folder, "pid");
  const engine = commandEngine({
    start: [...FAKE, "${PORT}", "--detach", `--pid-file=${pidFile}`],
    stop: ["sh", "-c", `kill $(cat ${pidFile}) && rm ${pidFile}`],
  });
  const first = ground.orchestrate(engineSpec({ engine }));
  await first.start();
  const pid = Number(readFileSync(pidFile, "utf8"));
  // The next life of llmux, with the records of the last.
  const second = ground.orchestrate(engineSpec({ engine }));
  await second.orchestrator.endLeftovers();
  assert.ok(!existsSync(pidFile));
  await untilGone(pid);
  assert.deepEqual(ground.records, []);
  assert.equal(second.log.named("leftover engine stopped by its command").length, 1);
});

test("SGLang gets its memory saver, and gives its memory back by tags with what was broken off ended first", async () => {
  await using ground = new EngineGround();
  const programs = { sglang: FAKE };
  const spec = engineSpec({ engine: { kind: "sglang" }, modelPath: "org/m", extraArgs: ["--tp", "1"] });
  const { orchestrator, effects, start, sleep, next } = ground.orchestrate(spec, { programs });
  await start();
  const { args } = await ask(orchestrator);
  const port = String(orchestrator.info("tiny").port);
  assert.deepEqual(args, [
    "--model-path",
    "org/m",
    "--host",
    "127.0.0.1",
    "--port",
    port,
    "--served-model-name",
    "tiny",
    "--enable-memory-saver",
    "--enable-weights-cpu-backup",
    "--tp",
    "1",
  ]);
  await sleep(1);
  effects.wake("tiny", 1);
  assert.deepEqual(await next(), { kind: "awake" });
  assert.deepEqual(((await ask(orchestrator, "/calls")) as unknown as string[]).slice(1), [
    'POST /abort_request {"rid":"","abort_all":true}',
    'POST /release_memory_occupation {"tags":["kv_cache","weights"]}',
    'POST /resume_memory_occupation {"tags":["weights"]}',
    'POST /resume_memory_occupation {"tags":["kv_cache"]}',
  ]);
});

test("SGLang that ends itself over an order to release has crashed", async () => {
  await using ground = new EngineGround();
  const programs = { sglang: FAKE };
  const extraArgs = ["--die-on", "/release_memory_occupation"];
  const { effects, start, next } = ground.orchestrate(engineSpec({ engine: { kind: "sglang" }, extraArgs }), {
    programs,
  });
  await start();
  effects.sleep("tiny", 1, "none");
  assert.equal((await next()).kind, "crashed");
});

test("an external engine is watched, gets its key, and is neither started nor stopped", async () => {
  await using ground = new EngineGround();
  const port = await claimPort("127.0.0.1", 0);
  const engine = externalEngine(port, { apiKeyVariable: "THE_KEY" });
  const environment = { THE_KEY: "secret-of-the-engine" };
  const spec = engineSpec({ engine, gpus: [], startupTimeoutMs: 1_000, extraArgs: [] });
  const { orchestrator, effects, start, next, log } = ground.orchestrate(spec, { environment });
  effects.start("tiny");
  const refused = await next();
  assert.equal(refused.kind, "wake failed");
  assert.match(refused.reason?.message ?? "", /which llmux does not start, is not well: .*ECONNREFUSED/);
  effects.stop("tiny");
  assert.deepEqual(await next(), { kind: "stopped" });

  const server = spawn(process.execPath, [FAKE_FILE, String(port)], { stdio: "ignore" });
  try {
    await until("it listens", () => isWell(`${engine.url}/health`));
    await start();
    assert.equal((await ask(orchestrator))["authorization"], "Bearer secret-of-the-engine");
    effects.stop("tiny");
    assert.deepEqual(await next(), { kind: "stopped" });
    assert.ok(await isWell(`${engine.url}/health`), "it was stopped");
    await start();
  } finally {
    server.kill("SIGKILL");
  }
  const crashed = await next();
  assert.equal(crashed.kind, "crashed");
  assert.equal(crashed.reason?.code, "engine_unreachable");
  assert.doesNotMatch(JSON.stringify(log.events), /secret-of-the-engine/);
});

test("an external engine that shares GPUs is put to sleep by its orders, and before others get its memory", async () => {
  await using ground = new EngineGround();
  const port = await claimPort("127.0.0.1", 0);
  const engine = externalEngine(port, { sleep: { request: "/sleep" }, wake: { request: "/wake" } });
  const server = spawn(process.execPath, [FAKE_FILE, String(port)], { stdio: "ignore" });
  try {
    await until("it listens", () => isWell(`${engine.url}/health`));
    const { effects, start, sleep, next } = ground.orchestrate(engineSpec({ engine }));
    await start();
    await sleep(1);
    effects.wake("tiny", 1);
    assert.deepEqual(await next(), { kind: "awake" });
    effects.stop("tiny");
    assert.deepEqual(await next(), { kind: "stopped" });
    const calls = async (): Promise<unknown> => (await fetch(`http://127.0.0.1:${port}/calls`)).json();
    const soFar = ["POST /wake", "POST /sleep", "POST /wake", "POST /sleep"];
    assert.deepEqual(await calls(), soFar);
    await start();
    await sleep(1);
    effects.stop("tiny");
    assert.deepEqual(await next(), { kind: "stopped" });
    assert.deepEqual(await calls(), [...soFar, "POST /wake", "POST /sleep"], "one that sleeps is left as it is");
  } finally {
    server.kill("SIGKILL");
  }
});
