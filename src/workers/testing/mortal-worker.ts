/** A worker that dies when a test tells it to, and of what. */
import { parentPort } from "node:worker_threads";

/** The ways to die. */
export type Death = "by an exception" | "for want of memory" | "by a rejection";

await import("../worker-main.ts");
parentPort?.unref();
parentPort?.on("message", (death: Death) => {
  if (death === "by an exception") throw new Error("told to die");
  if (death === "by a rejection") return void Promise.reject(new Error("told to die"));
  const hoard: unknown[] = [];
  for (;;) hoard.push({ text: `number ${hoard.length}` });
});
