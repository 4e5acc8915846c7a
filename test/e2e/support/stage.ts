/** A machine of its own for one test: a folder, a pretend GPU, a configuration, llmux on top, and a look round at the end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { controlSocketPath } from "../../../src/base/state-files.ts";
import { fetchStatus } from "../../../src/control/control-client.ts";
import type { ModelStatus, StatusDocument } from "../../../src/control/status.ts";
import { Ledger, type LedgerSnapshot } from "../../../src/mock-vllm/ledger.ts";
import { processIdentity } from "../../../src/mock-vllm/process-identity.ts";
import { until } from "../../support/until.ts";
import { Client } from "./client.ts";
import type { EventLog } from "./event-log.ts";
import { writeCosts, type Costs } from "./former-costs.ts";
import { freePort } from "./free-port.ts";
import { LlmuxProcess } from "./llmux-process.ts";
import { describeProcess, killMarked, markedProcesses } from "./marked-processes.ts";
import { readParent } from "./parent-of.ts";

/** One model of the configuration: its keys, and settings of the stand-in (`load_ms`: MOCK_VLLM_LOAD_MS). */
export interface ModelSetup {
  readonly mock?: Readonly<Record<string, string | number>>;
  readonly [key: string]: unknown;
}

/** What a test wants to be different. */
export interface Setup {
  /** Default: a, b and c. */
  readonly models?: Readonly<Record<string, ModelSetup>>;
  readonly policy?: Readonly<Record<string, unknown>>;
  readonly engine_timeouts?: Readonly<Record<string, unknown>>;
  /** Further keys of the configuration. */
  readonly top?: Readonly<Record<string, unknown>>;
  /** The pretend GPUs; by default one that has room for one engine that is awake. */
  readonly gpus?: string;
  /** Engines are killed beside others that start: one that sees memory come free while it looks round gives up. */
  readonly kills?: true;
  /** What an earlier run has found out about its models, whoever had to leave for them. */
  readonly costs?: Costs;
}

/** Faults by name, as the stand-in takes them. */
export type Faults = Readonly<Record<string, { readonly times?: number; readonly value?: string } | true>>;

const DEFAULT_MODELS: Readonly<Record<string, ModelSetup>> = { a: {}, b: {}, c: {} };

/** An engine that says this found another one in its way. */
const IN_THE_WAY = /Free memory on device|torch\.OutOfMemoryError/;
/** The same of one that was leaving. */
const ON_ITS_WAY_OUT = /Error in memory profiling/;

/** How long the members of a group that was killed may take to vanish. */
const VANISH_MS = 3_000;

/** Everything that a test has. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), "llmux-e2e-"));
  /** Where the test sees it. */
  stateDir = join(this.folder, "state");
  readonly port: number;
  readonly client: Client;
  /** In the environment of every process of this test. */
  readonly marker = `LLMUX_E2E=${randomUUID()}`;
  readonly #setup: Setup;
  readonly #runs: LlmuxProcess[] = [];
  #hasOutsider = false;

  constructor(setup: Setup, port: number) {
    this.#setup = setup;
    this.port = port;
    this.client = new Client(port);
  }

  // ── llmux ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The run that goes on, or the last one. */
  get llmux(): LlmuxProcess {
    const llmux = this.#runs.at(-1);
    assert.ok(llmux !== undefined, "llmux was not started");
    return llmux;
  }

  get log(): EventLog {
    return this.llmux.log;
  }

  /** Starts llmux and waits until it listens. */
  async start(launcher: readonly string[] = []): Promise<LlmuxProcess> {
    if (this.#runs.length === 0) writeCosts(this.stateDir, this.#setup.costs);
    const llmux = this.launch(this.writeConfig(), launcher);
    await llmux.log.until("listening");
    return llmux;
  }

  /** Starts llmux with any configuration, and does not wait. */
  launch(config: string, launcher: readonly string[] = []): LlmuxProcess {
    const llmux = new LlmuxProcess(config, this.environment, launcher);
    this.#runs.push(llmux);
    return llmux;
  }

  get environment(): Record<string, string> {
    const [name = "", value = ""] = this.marker.split("=");
    return {
      PATH: process.env["PATH"] ?? "",
      HOME: this.folder,
      TMPDIR: tmpdir(),
      [name]: value,
      MOCK_VLLM_LEDGER: join(this.folder, "ledger"),
      MOCK_VLLM_GPUS: this.#gpus,
      MOCK_VLLM_TIME_SCALE: "0",
    };
  }

  /** Writes the configuration and returns its path. */
  writeConfig(changes: Readonly<Record<string, unknown>> = {}, name = "llmux.yaml"): string {
    const { models = DEFAULT_MODELS, policy, engine_timeouts, top } = this.#setup;
    const document = {
      port: this.port,
      metrics_port: 0,
      vllm_command: "mock-vllm",
      nvidia_smi_command: "there-is-no-nvidia-smi",
      state_dir: this.stateDir,
      shutdown_timeout_secs: 5,
      policy: { policy_type: "fifo", request_timeout_secs: 20, min_active_secs: 0, ...policy },
      engine_timeouts: { sleep_timeout_secs: 10, wake_timeout_secs: 10, stop_grace_secs: 5, ...engine_timeouts },
      models: Object.fromEntries(Object.entries(models).map(([id, setup]) => [id, this.#model(id, setup)])),
      ...top,
      ...changes,
    };
    const path = join(this.folder, name);
    // JSON is YAML.
    writeFileSync(path, JSON.stringify(document, null, 2));
    return path;
  }

  // ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

  status(): Promise<StatusDocument> {
    return fetchStatus(controlSocketPath(this.stateDir));
  }

  async model(id: string): Promise<ModelStatus> {
    const model = (await this.status()).models.find((one) => one.id === id);
    assert.ok(model !== undefined, `no model ${id}`);
    return model;
  }

  /** The processes of a model's engine: the API server, and the EngineCore that it has started. */
  async engine(id: string): Promise<{ readonly apiPid: number; readonly corePid: number; readonly origin: string }> {
    const { pid, port } = await this.model(id);
    assert.ok(pid !== null && port !== null, `the engine of ${id} does not run`);
    const isCore = (one: number): boolean => readParent(one) === pid;
    const corePid = await until(`the engine of ${id} has a core`, () => markedProcesses(this.marker).find(isCore));
    return { apiPid: pid, corePid, origin: `http://127.0.0.1:${port}` };
  }

  /** What an engine has heard so far. */
  async requestCounts(id: string): Promise<Readonly<Record<string, number>>> {
    const { origin } = await this.engine(id);
    const { counts } = (await (await fetch(`${origin}/mock/requests`)).json()) as { counts: Record<string, number> };
    return counts;
  }

  ledger(): LedgerSnapshot {
    using ledger = this.#openLedger();
    return ledger.snapshot();
  }

  /** The most that was ever held of a pretend GPU, in bytes. */
  highWaterBytes(gpu: number): number {
    return this.ledger().devices.find(({ device }) => device === gpu)?.highWaterBytes ?? 0;
  }

  /** The files of engine records that are there. */
  records(): readonly string[] {
    try {
      return readdirSync(join(this.stateDir, "engines"));
    } catch {
      return [];
    }
  }

  // ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Orders faults for a model; their counts outlive its engine. Those that were ordered before are forgotten. */
  order(id: string, faults: Faults): void {
    const path = this.#faultsFile(id);
    writeFileSync(`${path}.new`, JSON.stringify(faults));
    renameSync(`${path}.new`, path);
  }

  /** Resolves when all that was ordered for a model, with a count, has struck. */
  async struck(id: string): Promise<void> {
    await until(`what was ordered for ${id} has struck`, () => readFileSync(this.#faultsFile(id), "utf8") === "{}");
  }

  /**
   * Somebody whom llmux knows nothing of, this process, holds so much of a pretend GPU from now on. To be 0 before the end. Engines
   * may find too little memory then.
   */
  outsiderHolds(bytes: number, gpu = 0): void {
    const me = processIdentity(process.pid);
    assert.ok(me !== undefined);
    this.#hasOutsider = true;
    using ledger = this.#openLedger();
    assert.ok(ledger.hold(me, "somebody else", new Map([[gpu, bytes]])).granted, `${bytes} bytes are not free`);
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends llmux if it still runs, and looks whether everything is as it should be. */
  async finish(): Promise<void> {
    for (const llmux of this.#runs) {
      if (llmux.exit === null) {
        const exit = await llmux.end("SIGTERM");
        // An orderly end leaves nobody behind, not even for a moment.
        this.#assertNobodyNow();
        assert.deepEqual(exit, { code: 0, signal: null }, "llmux did not end in good order");
      }
    }
    await this.assertNobodyLeft();
    this.assertNeverOverCommitted();
    assert.deepEqual(this.records(), [], "engine records are left");
    for (const { log } of this.#runs) assert.deepEqual(log.all("bug"), [], "llmux has found a bug in itself");
  }

  /** Fails if a process of this test stays. One that was killed a moment ago may take a moment to go. */
  async assertNobodyLeft(): Promise<void> {
    const isOver = (): boolean => markedProcesses(this.marker).length === 0 && this.ledger().holdings.length === 0;
    await until("nobody is left", isOver, VANISH_MS).catch(() => {});
    this.#assertNobodyNow();
  }

  #assertNobodyNow(): void {
    assert.deepEqual(markedProcesses(this.marker).map(describeProcess), [], "processes are left");
    assert.deepEqual(this.ledger().holdings, [], "somebody holds memory of the pretend GPU");
  }

  /** Fails if any engine ever wanted what another one held. */
  assertNeverOverCommitted(): void {
    for (const { device, totalBytes, highWaterBytes, refusals } of this.ledger().devices) {
      assert.ok(highWaterBytes <= totalBytes, `device ${device} was over-committed`);
      if (this.#hasOutsider) continue;
      assert.equal(refusals, 0, `device ${device} has refused memory: somebody wanted more than there was`);
    }
    if (this.#hasOutsider) return;
    for (const { log } of this.#runs) {
      const complaints = log
        .all("engine output")
        .filter(
          ({ line }) =>
            IN_THE_WAY.test(String(line)) || (this.#setup.kills !== true && ON_ITS_WAY_OUT.test(String(line))),
        );
      assert.deepEqual(complaints, [], "an engine found the memory of another one in its way");
    }
  }

  /** Kills whatever is left, by pid, and removes the folder. */
  async dispose(): Promise<void> {
    await killMarked(this.marker);
    await this.client.close();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** What the runs have told, for the message of a test that failed. */
  story(): string {
    return this.#runs.map(({ log }, run) => `── run ${run + 1} ──\n${log.tail(60)}`).join("\n");
  }

  #openLedger(): Ledger {
    return Ledger.open(join(this.folder, "ledger"), { gpus: this.#gpus });
  }

  get #gpus(): string {
    return this.#setup.gpus ?? "0:8GiB";
  }

  #faultsFile(id: string): string {
    return join(this.folder, `faults-${id}.json`);
  }

  #model(id: string, setup: ModelSetup): object {
    const { mock = {}, env = {}, ...keys } = setup;
    const settings = Object.entries(mock).map(([name, value]) => [`MOCK_VLLM_${name.toUpperCase()}`, String(value)]);
    return {
      model_path: `org/${id}`,
      extra_args: ["--gpu-memory-utilization", "0.8"],
      startup_timeout_secs: 20,
      env: { MOCK_VLLM_FAULTS_FILE: this.#faultsFile(id), ...Object.fromEntries(settings), ...(env as object) },
      ...keys,
    };
  }
}

/** Sets a stage with a free port. */
export async function setStage(setup: Setup): Promise<Stage> {
  return new Stage(setup, await freePort());
}
