/**
 * llmux as a library: a gateway with its engines inside another Node program.
 *
 * ```ts
 * const config = parseConfig(text, "inline.yaml", process.env);
 * const app = createApp(config, { platform: systemPlatform(), log: silentLog, version: VERSION });
 * const { gateway } = await app.start();
 * …
 * await app.drain();
 * ```
 *
 * The scheduler is here too: it can be driven on its own, with other effects than ours.
 */
import type { Log } from "./ports/log.ts";

export { createKey, hashOfKey } from "./base/api-key.ts";
export { createApp, type App, type AppOptions } from "./app.ts";
export type { Failure, FailureCode } from "./base/failure.ts";
export type { Config, ModelConfig, PolicyConfig } from "./config/config.ts";
export { loadConfig, parseConfig } from "./config/load.ts";
export { ConfigError, type Problem } from "./config/problem.ts";
export { configJsonSchema } from "./config/schema.ts";
export { createLog } from "./control/log.ts";
export type { StatusDocument } from "./control/status.ts";
export type { Effects } from "./core/effects.ts";
export type { EngineState } from "./core/engine-state.ts";
export type { JournalEntry } from "./core/journal.ts";
export type { Lease } from "./core/lease.ts";
export type { ModelSpec } from "./core/model.ts";
export { fifo } from "./core/policies/fifo.ts";
export type { Candidate, Decision, Policy, PolicyView } from "./core/policy.ts";
export { Scheduler, type SchedulerOptions } from "./core/scheduler.ts";
export type { Snapshot } from "./core/snapshot.ts";
export { systemPlatform, type Platform } from "./platform/platform.ts";
export type { Log, LogFields } from "./ports/log.ts";
export { VERSION } from "./version.ts";

/** A log that keeps quiet, for programs that only want the journal. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
