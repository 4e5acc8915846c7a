/** For tests: a stand-in started as a process of its own, with its own ledger, its output in a file, and a way to end it all. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const launcher = fileURLToPath(new URL("../../bin/mock-vllm.js", import.meta.url));
const deadlineMs = 20_000;

/** What a test may say about the stand-in it wants. */
export interface Wanted {
  readonly model?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Waits for the first 200 of /health unless false. */
  readonly ready?: boolean;
  readonly port?: number;
}

/** Polls until `probe` gives something other than undefined or false; fails after 20 s with `what` in the message. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > until) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await sleep(5);
  }
}

/** Whether nobody listens on the port: the connection is refused. */
export function refused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket
      .on("connect", () => resolve(false))
      .on("error", (error) => resolve("code" in error && error.code === "ECONNREFUSED"));
  });
}

/** A pretend machine of its own: a ledger in a temporary directory, and all stand-ins that a test starts on it. */
export class MockMachine implements AsyncDisposable {
  readonly dir = mkdtempSync(path.join(os.tmpdir(), "mock-vllm-test-"));
  readonly #env: Readonly<Record<string, string>>;
  readonly #mocks: StartedMock[] = [];

  constructor(env: Readonly<Record<string, string>> = {}) {
    this.#env = env;
  }

  /** The environment its processes run in. */
  get env(): NodeJS.ProcessEnv {
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(MOCK_)?VLLM_|^CUDA_|^NODE_/.test(name)),
    );
    const mine = { MOCK_VLLM_LEDGER: this.dir, MOCK_VLLM_TIME_SCALE: "0", VLLM_SERVER_DEV_MODE: "1", NO_COLOR: "1" };
    return { ...clean, ...mine, ...this.#env };
  }

  /** Starts a stand-in with sleep mode, on a free port, in its own process group. */
  async start(wanted: Wanted = {}): Promise<StartedMock> {
    const words = ["serve", wanted.model ?? "test/model-1B", "--host", "127.0.0.1", "--port", String(wanted.port ?? 0)];
    const mock = new StartedMock(
      this.dir,
      this.#mocks.length,
      [...words, ...(wanted.args ?? ["--enable-sleep-mode"])],
      {
        ...this.env,
        ...wanted.env,
      },
    );
    this.#mocks.push(mock);
    if (wanted.ready !== false) await mock.ready();
    return mock;
  }

  /** Runs a command of the stand-in to its end. */
  async run(
    words: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ code: number | null; out: string; err: string }> {
    const child = spawn(process.execPath, [launcher, ...words], {
      env: { ...this.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { out: "", err: "" };
    child.stdout.on("data", (chunk: Buffer) => (texts.out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (texts.err += chunk.toString()));
    await once(child, "close");
    return { code: child.exitCode, ...texts };
  }

  /** Kills every process that is left, and removes the directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const mock of this.#mocks) mock.killGroup();
    await Promise.all(this.#mocks.map((mock) => mock.exit));
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** One stand-in. */
export class StartedMock {
  readonly child: ChildProcess;
  /** Resolves with exit code and signal. */
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #logFile: string;
  #url = "";

  constructor(dir: string, index: number, words: readonly string[], env: NodeJS.ProcessEnv) {
    this.#logFile = path.join(dir, `mock-${index}.log`);
    const fd = openSync(this.#logFile, "a");
    this.child = spawn(process.execPath, [launcher, ...words], { env, stdio: ["ignore", fd, fd], detached: true });
    closeSync(fd);
    this.exit = once(this.child, "exit").then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
  }

  /** All it has printed so far. */
  get log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  /** Where it listens, e.g. `http://127.0.0.1:41234`; known once it is ready. */
  get url(): string {
    return this.#url;
  }

  /** The pid of EngineCore, from its log lines. */
  get corePid(): number {
    return Number(/EngineCore pid=(\d+)/.exec(this.log)?.[1]);
  }

  /** Waits for its first answer to /health. */
  async ready(): Promise<void> {
    await eventually("the stand-in to be ready", async () => {
      if (this.child.exitCode !== null) throw new Error(`the stand-in has ended:\n${this.log}`);
      this.#url = /vLLM (?:API server 0|server) on (http:\S+)/.exec(this.log)?.[1] ?? "";
      if (this.#url === "") return false;
      return fetch(`${this.#url}/health`).then(
        (answer) => answer.ok,
        () => false,
      );
    });
  }

  /** Sends a request; an object is sent as JSON. */
  fetch(target: string, init: RequestInit & { json?: unknown } = {}): Promise<Response> {
    const { json, ...rest } = init;
    if (json === undefined) return fetch(this.#url + target, rest);
    const headers = { "content-type": "application/json", ...(rest.headers as Record<string, string> | undefined) };
    return fetch(this.#url + target, { method: "POST", ...rest, headers, body: JSON.stringify(json) });
  }

  /** POST without a body; gives the status and the text. */
  async post(target: string): Promise<{ status: number; text: string }> {
    const answer = await this.fetch(target, { method: "POST" });
    return { status: answer.status, text: await answer.text() };
  }

  /** GET as JSON. */
  async get<T = Record<string, unknown>>(target: string): Promise<T> {
    return (await (await this.fetch(target)).json()) as T;
  }

  /** Waits until so many requests wait in its queue. */
  async untilWaiting(count: number): Promise<void> {
    await eventually(
      `${count} requests to wait`,
      async () => (await this.get<{ waiting: number }>("/mock/state")).waiting === count,
    );
  }

  /** Asks one question and gives the answer with its status. */
  async ask(fields: Record<string, unknown> = {}): Promise<{ status: number; text: string; reason: string }> {
    const messages = [{ role: "user", content: "What is the capital of France?" }];
    const answer = await this.fetch("/v1/chat/completions", {
      json: { messages, temperature: 0, seed: 42, max_tokens: 8, ...fields },
    });
    const body = (await answer.json()) as { choices?: { message: { content: string }; finish_reason: string }[] };
    const choice = body.choices?.[0];
    return {
      status: answer.status,
      text: choice?.message.content ?? JSON.stringify(body),
      reason: choice?.finish_reason ?? "",
    };
  }

  /** Orders faults. */
  async fault(orders: Record<string, unknown>): Promise<void> {
    await this.fetch("/mock/faults", { json: orders });
  }

  /** Sends a signal to the whole process group, and does not mind if it is gone. */
  killGroup(signal: NodeJS.Signals = "SIGKILL"): void {
    try {
      if (this.child.pid !== undefined) process.kill(-this.child.pid, signal);
    } catch {
      // Nobody is left: all the better.
    }
  }
}
