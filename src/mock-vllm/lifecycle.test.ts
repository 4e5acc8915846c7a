import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { faultTable } from "./faults.ts";
import { createListener, keepAliveOf } from "./http/listener.ts";
import { settingTable, variableOf } from "./settings.ts";
import { eventually, MockMachine, refused } from "./started-mock.ts";

const anyFlags = [
  "--enable-sleep-mode",
  "--dtype",
  "bfloat16",
  "--enforce-eager",
  "--trust-remote-code",
  "--max-model-len=4096",
];

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("a start prints vLLM's milestones in vLLM's order and format, whatever flags it is given", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ args: anyFlags });
  const milestones = [
    /^\(APIServer pid=\d+\) INFO \d\d-\d\d \d\d:\d\d:\d\d \[api_utils\.py:\d+\]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0\.32\.0$/m,
    /^\(EngineCore pid=\d+\) INFO \d\d-\d\d \d\d:\d\d:\d\d \[core\.py:\d+\] Initializing a V1 LLM engine \(v0\.32\.0\) with config: model=/m,
    /Starting to load model test\/model-1B/,
    /^\r?Loading safetensors checkpoint shards:\s+50% Completed \| 2\/4 \[/m,
    /Loading weights took [\d.]+ seconds/,
    /Model loading took 1\.86 GiB memory and [\d.]+ seconds/,
    /torch\.compile/,
    /Available KV cache memory: 18\.74 GiB/,
    /GPU KV cache size: [\d,]+ tokens, Maximum concurrency for 4,096 tokens per request: [\d.]+x$/m,
    /Capturing CUDA graphs \(.*\):\s+40%\|.*\| 14\/35/,
    /Graph capturing finished in \d+ secs/,
    /init engine \(.*\) took [\d.]+ s$/m,
    /^\(APIServer .*\] Starting vLLM server on http:\/\/127\.0\.0\.1:\d+$/m,
    /^INFO: {5}Application startup complete\.$/m,
  ];
  const places = milestones.map((milestone) => mock.log.search(milestone));
  assert.ok(
    places.every((place) => place !== -1),
    `missing: ${String(milestones[places.indexOf(-1)])}`,
  );
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  );
});

test("version 0.14 says its version in a line of its own, and older versions put the process before every line", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_GPUS: "0:24GiB,1:24GiB" });
  const old = await machine.start({ env: { MOCK_VLLM_VERSION: "0.14.1", CUDA_VISIBLE_DEVICES: "0" } });
  assert.match(old.log, /\] vLLM API server version 0\.14\.1$/m);
  const newer = await machine.start({ env: { MOCK_VLLM_VERSION: "0.28.0", CUDA_VISIBLE_DEVICES: "1" } });
  assert.match(newer.log, /█ {2}version 0\.28\.0$/m);
  for (const { log } of [old, newer])
    assert.match(log, /^\(APIServer pid=\d+\) INFO: {5}Application startup complete\.$/m);
});

test("lines are coloured as vLLM's are unless NO_COLOR is set", async () => {
  await using machine = new MockMachine({ NO_COLOR: "" });
  const mock = await machine.start();
  assert.ok(mock.log.includes("\u001b[0;36m(EngineCore pid="));
});

test("the port is taken early and refuses connections until the start is complete", async () => {
  await using machine = new MockMachine();
  const port = await freePort();
  const mock = await machine.start({ port, env: { MOCK_VLLM_LOAD_MS: "500" }, ready: false });
  await eventually("the load", () => mock.log.includes("Starting to load model"));
  assert.equal(await refused(port), true);
  assert.ok(!mock.log.includes("Application startup complete."));
  await mock.ready();
  assert.equal(await refused(port), false);
});

test("an address in use ends the start with a message and code 1", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_GPUS: "0:24GiB,1:24GiB" });
  const first = await machine.start();
  const second = await machine.start({ port: Number(new URL(first.url).port), ready: false });
  assert.deepEqual(await second.exit, { code: 1, signal: null });
  assert.match(second.log, /OSError: \[Errno 98\] Address already in use/);
});

test("of two starts that take the same port before either listens, one serves and the other leaves nothing behind", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_LOAD_MS: "300", MOCK_VLLM_GPUS: "0:24GiB,1:24GiB" });
  const port = await freePort();
  const [first, second] = await Promise.all(
    ["0", "1"].map((gpu) => machine.start({ port, env: { CUDA_VISIBLE_DEVICES: gpu }, ready: false })),
  );
  assert.ok(first !== undefined && second !== undefined);
  assert.equal((await Promise.race([first.exit, second.exit])).code, 1);
  const [loser, winner] = first.child.exitCode === null ? [second, first] : [first, second];
  assert.match(loser.log, /Address already in use/);
  await winner.ready();
  const pids = async (): Promise<string> =>
    (await machine.run(["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"])).out.trim();
  await eventually("the loser's EngineCore to be gone", async () => (await pids()) === String(winner.corePid));
});

test("a full disk under its output does not disturb it", async () => {
  await using machine = new MockMachine();
  const port = await freePort();
  const full = openSync("/dev/full", "w");
  const launcher = fileURLToPath(new URL("../../bin/mock-vllm.js", import.meta.url));
  const words = ["serve", "m", "--host", "127.0.0.1", "--port", String(port), "--enable-sleep-mode"];
  const child = spawn(process.execPath, [launcher, ...words], { env: machine.env, stdio: ["ignore", full, full] });
  closeSync(full);
  const exit = once(child, "exit");
  try {
    const url = `http://127.0.0.1:${port}`;
    const post = (target: string): Promise<Response> => fetch(url + target, { method: "POST" });
    await eventually("health", () =>
      fetch(`${url}/health`).then(
        (answer) => answer.ok,
        () => false,
      ),
    );
    assert.equal((await post("/sleep")).status, 200);
    assert.equal((await post("/wake_up")).status, 200);
  } finally {
    child.kill("SIGTERM");
  }
  assert.deepEqual(await exit, [0, null]);
});

test("EngineCore is a child of its own name in the same process group", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  assert.equal(readFileSync(`/proc/${mock.corePid}/comm`, "utf8").trim(), "VLLM::EngineCor");
  assert.match(readFileSync(`/proc/${mock.corePid}/cmdline`, "utf8"), /^VLLM::EngineCore/);
  const fields = readFileSync(`/proc/${mock.corePid}/stat`, "latin1").split(") ")[1]?.split(" ");
  assert.deepEqual([fields?.[1], fields?.[2]], [String(mock.child.pid), String(mock.child.pid)]);
});

test("an idle connection is closed after the keep-alive time, without a header that gives it away", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: { VLLM_HTTP_TIMEOUT_KEEP_ALIVE: "0.3" } });
  const agent = new http.Agent({ keepAlive: true });
  const closedAfterMs = await new Promise<number>((resolve, reject) => {
    const request = http.get(`${mock.url}/health`, { agent }, (response) => {
      assert.equal(response.headers["keep-alive"], undefined);
      assert.equal(response.headers.server, "uvicorn");
      const { socket } = response;
      response.resume().once("end", () => {
        const endedAt = performance.now();
        socket.once("close", () => resolve(performance.now() - endedAt));
      });
    });
    request.on("error", reject);
  });
  agent.destroy();
  assert.ok(closedAfterMs > 200 && closedAfterMs < 4000, `closed after ${closedAfterMs} ms`);
});

test("idle connections stay open for 5 s unless told otherwise, and not a moment longer", () => {
  assert.equal(keepAliveOf({}), 5000);
  const { server } = createListener(() => assert.fail("nobody asks"), keepAliveOf({}));
  assert.deepEqual([server.keepAliveTimeout, server.keepAliveTimeoutBuffer], [5000, 0]);
});

test("it serves on a Unix socket", async () => {
  await using machine = new MockMachine();
  const socketPath = path.join(machine.dir, "engine.sock");
  const mock = await machine.start({ args: ["--uds", socketPath], ready: false });
  await eventually("the socket", () => mock.log.includes("Application startup complete."));
  const status = await new Promise((resolve, reject) => {
    http.get({ socketPath, path: "/health" }, (response) => resolve(response.resume().statusCode)).on("error", reject);
  });
  assert.equal(status, 200);
});

test("a command that makes no sense ends with code 2 and says what was expected", async () => {
  await using machine = new MockMachine();
  const port = await machine.run(["serve", "m", "--port", "abc"]);
  assert.equal(port.code, 2);
  assert.match(port.err, /^mock-vllm: --port: expected a whole number from 0 to 65535, found "abc"\n$/);
  const gpus = await machine.run(["ledger"], { MOCK_VLLM_GPUS: "foo" });
  assert.equal(gpus.code, 2);
  assert.match(gpus.err, /MOCK_VLLM_GPUS: expected a list such as 0:24GiB,1:24GiB, found "foo"/);
  assert.match((await machine.run(["fly"])).err, /expected serve, .* found "fly"/);
});

test("the documentation names every setting and every fault", () => {
  const text = readFileSync(new URL("../../docs/MOCK-VLLM.md", import.meta.url), "utf8");
  for (const { name } of Object.values(settingTable)) {
    assert.ok(text.includes(`--mock-${name}`) && text.includes(variableOf(name)), name);
  }
  for (const name of Object.keys(faultTable)) assert.ok(text.includes(`\`${name}\``), name);
});

test("help lists every setting and every fault, and the version is the one it behaves like", async () => {
  await using machine = new MockMachine();
  const { out, code } = await machine.run(["--help"]);
  assert.equal(code, 0);
  for (const word of ["MOCK_VLLM_GPUS", "--mock-sleep-ms", "wake-oom", "crash-api-after-chunks"])
    assert.ok(out.includes(word), word);
  assert.match((await machine.run(["--version"])).out, /^0\.32\.0/);
});
