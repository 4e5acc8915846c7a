/** Starts the threads that workers run in. */
import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import { describeError } from "../base/failure.ts";
import type { WorkerData, WorkerSetup } from "./worker-setup.ts";

/** A thread that runs a worker. */
export interface Thread {
  /** This side of the channel to it. */
  readonly port: MessagePort;
  /** Resolves with the reason when it has ended and all that it had open is closed. Never rejects. */
  readonly ended: Promise<string>;
  /** Ends it, whatever it does. */
  terminate(): void;
}

/** Starts a thread. */
export type StartThread = (setup: WorkerSetup) => Thread;

/** In the sources it is a file of its own, and in the bundle too, where all files lie in one folder. */
const ENTRY = import.meta.url.endsWith(".ts")
  ? new URL("worker-main.ts", import.meta.url)
  : new URL("gateway-worker.js", import.meta.url);

/** As `bin/llmux.js` has it for the main thread, which flags alone do not bring about here: three semi-spaces of 8 MiB. */
const YOUNG_GENERATION_MB = 24;

/** Starts one with the gateway in it. */
export function startThread(setup: WorkerSetup): Thread {
  const { port1: port, port2 } = new MessageChannel();
  const workerData: WorkerData = { setup, port: port2 };
  const thread = new Worker(ENTRY, {
    workerData,
    transferList: [port2],
    name: `gateway ${setup.worker}`,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  let reason: string | null = null;
  thread.on("error", (error) => {
    reason = describeError(error);
  });
  const ended = new Promise<string>((resolve) => {
    thread.once("exit", (code) => resolve(reason ?? `it ended with code ${code}`));
  });
  return { port, ended, terminate: () => void thread.terminate() };
}
