/** Where a worker's thread begins. */
import { workerData } from "node:worker_threads";
import { systemPlatform } from "../platform/platform.ts";
import { startWorker } from "./worker.ts";
import type { WorkerData } from "./worker-setup.ts";

const { port, setup } = workerData as WorkerData;
const { clock, createEnginePool, collectGarbage } = systemPlatform();

startWorker(port, setup, {
  clock,
  createConnections: createEnginePool,
  ...(collectGarbage === undefined ? {} : { collectGarbage }),
  end: () => process.exit(0),
});
