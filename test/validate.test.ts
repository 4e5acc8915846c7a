/** `llmux validate` with the real program and stand-in engines, sound ones and broken ones. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { lockStateDir } from "../src/platform/instance-lock.ts";
import { systemProcesses } from "../src/platform/processes.ts";
import { until } from "./support/until.ts";

const LLMUX = fileURLToPath(new URL("../bin/llmux.js", import.meta.url));

interface Report {
  readonly pass: boolean;
  readonly reason: string | null;
  readonly levels: readonly {
    readonly level: number;
    readonly sleep_s: number | null;
    readonly wake_s: number | null;
    readonly gpu_before_bytes: number | null;
    readonly gpu_asleep_bytes: number | null;
    readonly gpu_awake_bytes: number | null;
    readonly same_answer: boolean | null;
    readonly pass: boolean;
    readonly reason: string | null;
  }[];
}

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-validate-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function launch(levels: string, settings: Readonly<Record<string, string>>, probe = "[mock-vllm, nvidia-smi]") {
  const config = join(folder, "llmux.yaml");
  const env = {
    ...process.env,
    MOCK_VLLM_LEDGER: join(folder, "ledger"),
    MOCK_VLLM_GPUS: "0:8GiB",
    MOCK_VLLM_LOAD_MS: "0",
    MOCK_VLLM_SLEEP_MS: "0",
    MOCK_VLLM_WAKE_MS: "0",
    MOCK_VLLM_RELOAD_MS: "0",
    ...settings,
  };
  writeFileSync(
    config,
    `vllm_command: mock-vllm
nvidia_smi_command: ${probe}
state_dir: ${join(folder, "state")}
models: { tiny: { model_path: org/tiny, extra_args: [--gpu-memory-utilization, 0.8] } }
`,
  );
  const args = [LLMUX, "validate", "tiny", "--config", config, "--levels", levels, "--json"];
  return spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
}

async function validate(levels: string, faults: string, probe?: string) {
  const child = launch(levels, { MOCK_VLLM_FAULTS: faults }, probe);
  const exited = once(child, "exit");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await exited) as [number | null];
  assert.deepEqual(readdirSync(join(folder, "state", "engines")), [], "an engine is left on record");
  assert.notEqual(stdout, "", stderr);
  return { code, report: JSON.parse(stdout) as Report };
}

test("a sound model passes every level, with times and memory measured", async () => {
  const { code, report } = await validate("1,2,3", "");
  assert.equal(code, 0);
  assert.equal(report.pass, true);
  assert.deepEqual(
    report.levels.map(({ level, pass, same_answer }) => ({ level, pass, same_answer })),
    [1, 2, 3].map((level) => ({ level, pass: true, same_answer: true })),
  );
  for (const level of report.levels) {
    assert.ok((level.sleep_s ?? -1) > 0 && (level.wake_s ?? -1) > 0);
    assert.ok((level.gpu_asleep_bytes ?? Infinity) < (level.gpu_before_bytes ?? 0));
    assert.equal(level.gpu_awake_bytes, level.gpu_before_bytes);
  }
});

test("a model that wakes up corrupt fails, and only on the levels where it does", async () => {
  const { code, report } = await validate("1,2", "corrupt-after-wake*1");
  assert.equal(code, 1);
  assert.equal(report.pass, false);
  assert.equal(report.levels[0]?.same_answer, false);
  assert.match(report.levels[0]?.reason ?? "", /not the same/);
});

test("a sleep that frees nothing fails, and the next level starts afresh", async () => {
  const { code, report } = await validate("1,2", "sleep-frees-nothing*1");
  assert.equal(code, 1);
  assert.match(report.levels[0]?.reason ?? "", /no GPU memory came free/);
  assert.equal(report.levels[0]?.wake_s, null);
  assert.equal(report.levels[1]?.level, 2);
});

test("without a GPU to ask, memory is not available rather than 0", async () => {
  const { code, report } = await validate("1", "", "/no/such/nvidia-smi");
  assert.equal(code, 0);
  assert.equal(report.levels[0]?.gpu_before_bytes, null);
  assert.equal(report.levels[0]?.gpu_asleep_bytes, null);
  assert.equal(report.levels[0]?.gpu_awake_bytes, null);
});

test("a model that does not start fails with the engine's own words", async () => {
  const { code, report } = await validate("1", "exit-at-start=3:no such quantization");
  assert.equal(code, 1);
  assert.deepEqual(report.levels, []);
  assert.match(report.reason ?? "", /exited with code 3.*no such quantization/);
});

function logged(words: string): boolean {
  const path = join(folder, "state", "logs", "tiny.log");
  return existsSync(path) && readFileSync(path, "utf8").includes(words);
}

/** Sends the signals when the engine has printed `words`. Fails if a process is left. */
async function signalled(
  signals: readonly NodeJS.Signals[],
  words: string,
  settings: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly tookMs: number; readonly output: string }> {
  const mark = randomUUID();
  const child = launch("1", { ...settings, LLMUX_VALIDATE_TEST: mark });
  const exited = once(child, "exit");
  const output = text(child.stdout);
  const left = (): readonly number[] => systemProcesses.marked(`LLMUX_VALIDATE_TEST=${mark}`);
  try {
    await until(`the engine prints "${words}"`, () => logged(words));
    const beganAtMs = performance.now();
    for (const signal of signals) child.kill(signal);
    const [code] = (await exited) as [number | null];
    const tookMs = performance.now() - beganAtMs;
    await until("nobody is left", () => left().length === 0, 3_000);
    return { code, tookMs, output: await output };
  } finally {
    for (const pid of left()) process.kill(pid, "SIGKILL");
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} during the start ends the engine, and the report says so`, async () => {
    const { code, output } = await signalled([signal], "Starting to load model", { MOCK_VLLM_LOAD_MS: "20000" });
    assert.equal(code, 130);
    assert.equal((JSON.parse(output) as Report).reason, "interrupted");
    assert.deepEqual(readdirSync(join(folder, "state", "engines")), []);
  });
}

test("Ctrl-C does not wait for the answer to the test question", async () => {
  const { code, tookMs } = await signalled(["SIGINT"], "GET /health", { MOCK_VLLM_TTFT_MS: "50000" });
  assert.equal(code, 130);
  assert.ok(tookMs < 15_000, `it took ${tookMs} ms`);
});

test("a second signal does not wait for an engine that ignores SIGTERM, and leaves nobody", async () => {
  const settings = { MOCK_VLLM_LOAD_MS: "20000", MOCK_VLLM_FAULTS: "ignore-sigterm" };
  const { code, tookMs } = await signalled(["SIGINT", "SIGTERM"], "Starting to load model", settings);
  assert.equal(code, 130);
  assert.ok(tookMs < 8_000, `it took ${tookMs} ms`);
});

test("while llmux runs with the same state folder it says so in a sentence", async () => {
  const held = join(folder, "state");
  const lock = lockStateDir(held, systemProcesses);
  try {
    const child = launch("1", {});
    const exited = once(child, "exit");
    const stderr = await text(child.stderr);
    assert.equal(
      stderr,
      `llmux: another llmux (pid ${process.pid}) runs with state_dir ${held}; give this one a state_dir of its own\n`,
    );
    assert.deepEqual(await exited, [1, null]);
  } finally {
    lock.release();
  }
});
