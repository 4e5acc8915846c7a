/** One run of the real program over real engines. */
import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { controlSocketPath } from "../../../src/base/state-files.ts";
import { fetchStatus } from "../../../src/control/control-client.ts";
import type { ModelStatus } from "../../../src/control/status.ts";
import { until } from "../../support/until.ts";
import type { TestGround } from "./test-ground.ts";

const LLMUX = fileURLToPath(new URL("../../../bin/llmux.js", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** The program `vllm` of the environment that setup.sh makes. */
export const VLLM = process.env["LLMUX_VLLM_COMMAND"] ?? join(ROOT, ".cache/vllm-venv/bin/vllm");

/** The Python of that environment, which has the official clients. */
export const PYTHON = process.env["LLMUX_VLLM_PYTHON"] ?? join(ROOT, ".cache/vllm-venv/bin/python");

/** The folder with the models that make-models.py makes. */
export const MODELS = process.env["LLMUX_VLLM_MODELS"] ?? join(ROOT, ".cache/vllm-models");

/** A start takes half a minute on two idle cores; this is for busy ones. */
const EVENT_LIMIT_MS = 240_000;

/** An event of its log. */
export interface LoggedEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** How it ended: one of the two is set. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a configuration says. */
export interface ConfigWish {
  readonly port: number;
  readonly levels: Readonly<Record<"tiny-a" | "tiny-b", 1 | 2 | 3>>;
  /** Further arguments of their engines. */
  readonly args?: Readonly<Record<"tiny-a" | "tiny-b", readonly string[]>>;
  /** Further keys. */
  readonly top?: Readonly<Record<string, unknown>>;
}

/** Writes a configuration of both models, sharing one GPU, and returns its path. */
export function writeConfig({ folder }: TestGround, { port, levels, args, top }: ConfigWish): string {
  const model = (name: "tiny-a" | "tiny-b"): object => ({
    model_path: join(MODELS, name),
    gpus: [0],
    sleep_level: levels[name],
    // vLLM refuses the flag on a CPU; without it the sleep routes work all the same, and free nothing.
    sleep_mode_flag: false,
    extra_args: ["--enforce-eager", "--max-model-len", "16384", ...(args?.[name] ?? [])],
    env: { VLLM_CPU_KVCACHE_SPACE: 1, HF_HUB_OFFLINE: 1, VLLM_NO_USAGE_STATS: 1, DO_NOT_TRACK: 1 },
    startup_timeout_secs: 300,
  });
  const config = {
    port,
    metrics_port: 0,
    vllm_command: VLLM,
    nvidia_smi_command: "there-is-no-nvidia-smi",
    state_dir: join(folder, "state"),
    policy: { policy_type: "fifo", request_timeout_secs: 300, min_active_secs: 0 },
    models: { "tiny-a": model("tiny-a"), "tiny-b": model("tiny-b") },
    ...top,
  };
  const path = join(folder, "llmux.json");
  writeFileSync(path, JSON.stringify(config, null, 2));
  return path;
}

/** From the start of the program to its end. */
export class LlmuxRun {
  readonly events: LoggedEvent[] = [];
  readonly exited: Promise<Exit>;
  readonly #ground: TestGround;
  readonly #child: ChildProcess;
  #exit: Exit | null = null;

  private constructor(ground: TestGround, child: ChildProcess) {
    this.#ground = ground;
    this.#child = child;
    if (child.stderr === null) throw new Error("llmux has no stderr");
    child.stdout?.resume();
    createInterface({ input: child.stderr }).on("line", (line) => this.#take(line));
    this.exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve((this.#exit = { code, signal })));
    });
  }

  /** Starts `llmux serve` and waits until it listens. */
  static async serve(ground: TestGround, config: string): Promise<LlmuxRun> {
    const run = new LlmuxRun(ground, spawnLlmux(ground, ["serve", "--config", config, "--verbose"]));
    await run.until("listening");
    return run;
  }

  /** Where the next event will be, to search what comes after this moment. */
  get now(): number {
    return this.events.length;
  }

  /** The events of this name with these fields. */
  all(event: string, fields: Readonly<Record<string, unknown>> = {}, since = 0): readonly LoggedEvent[] {
    const fits = (logged: LoggedEvent): boolean =>
      logged.event === event && Object.entries(fields).every(([name, value]) => logged[name] === value);
    return this.events.slice(since).filter(fits);
  }

  /** The first such event, when it has come. */
  until(event: string, fields: Readonly<Record<string, unknown>> = {}, since = 0): Promise<LoggedEvent> {
    const what = `the event "${event}" ${JSON.stringify(fields)}`;
    return until(
      what,
      () => {
        const found = this.all(event, fields, since)[0];
        if (found === undefined && this.#exit !== null) throw new Error(`llmux ended, and never told ${what}`);
        return found;
      },
      EVENT_LIMIT_MS,
    );
  }

  async model(id: string): Promise<ModelStatus> {
    const { models } = await fetchStatus(controlSocketPath(join(this.#ground.folder, "state")));
    const model = models.find((one) => one.id === id);
    if (model === undefined) throw new Error(`no model ${id}`);
    return model;
  }

  /** The pid of a model's engine, the leader of its group. */
  async engine(id: string): Promise<number> {
    const { pid } = await this.model(id);
    if (pid === null) throw new Error(`the engine of ${id} does not run`);
    this.#ground.know(pid);
    return pid;
  }

  /** Signals llmux alone, and waits for its end. */
  async end(signal: NodeJS.Signals): Promise<Exit & { readonly tookMs: number }> {
    const atMs = performance.now();
    this.#child.kill(signal);
    return { ...(await this.exited), tookMs: performance.now() - atMs };
  }

  /** Its last events, for the message of a test that failed; what engines print is left to their own files. */
  story(): string {
    const told = this.events.filter(({ event }) => event !== "engine output").slice(-60);
    return told.map((event) => JSON.stringify(event)).join("\n");
  }

  #take(line: string): void {
    try {
      const event = JSON.parse(line) as LoggedEvent;
      this.events.push(event);
      if (event.event === "engine started" && typeof event["pid"] === "number") this.#ground.know(event["pid"]);
    } catch {
      this.events.push({ event: "not an event", line });
    }
  }
}

/** Runs another command of llmux to its end. */
export async function runLlmux(
  ground: TestGround,
  args: readonly string[],
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const child = spawnLlmux(ground, args);
  const exited = new Promise<Exit>((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));
  const [exit, stdout, stderr] = await Promise.all([exited, textOf(child.stdout), textOf(child.stderr)]);
  return { ...exit, stdout, stderr };
}

function spawnLlmux({ folder, environment }: TestGround, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [LLMUX, ...args], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function textOf(stream: AsyncIterable<unknown> | null): Promise<string> {
  let text = "";
  for await (const chunk of stream ?? []) text += String(chunk);
  return text;
}
