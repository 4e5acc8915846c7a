/** An engine's start inside EngineCore: memory taken step by step, with vLLM's milestone lines. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CoreConfig } from "./core-protocol.ts";
import type { EngineMemory } from "./engine-memory.ts";
import type { EngineVersion } from "./engine-version.ts";
import type { HoldResult } from "./ledger.ts";
import type { Log } from "./log-lines.ts";
import type { MemoryPlan } from "./memory-plan.ts";
import type { Pace } from "./pace.ts";
import { formatGib } from "./quantity.ts";

/** A start that failed as vLLM's fail: the text is the last line of the traceback. */
export class LoadError extends Error {
  override readonly name = "LoadError";
}

/** KV cache of one token, in bytes; an 8B model with grouped attention needs about this much. */
const kvBytesPerToken = 128 * 1024;
const graphCount = 35;
const shardBytes = 2.5e9;

/** What a start needs. */
interface Parts {
  readonly config: CoreConfig;
  readonly version: EngineVersion;
  readonly memory: EngineMemory;
  readonly plan: MemoryPlan;
  readonly pace: Pace;
  readonly log: Log;
}

/** Loads the model. Resolves with the size of the KV cache in tokens; throws `LoadError` when the GPU has no room. */
export async function loadEngine({ config, version, memory, plan, pace, log }: Parts): Promise<number> {
  const startedAt = performance.now();
  const rest = (share: number): Promise<void> => restFor(share * pace.loadMs);
  refuseFullGpu(config, memory);
  log.info(
    "core.py:93",
    `Initializing a V1 LLM engine (v${version.name}) with config: model='${config.model}', tensor_parallel_size=${config.tensorParallelSize}`,
  );
  const freeAtStart = memory.freeBytes();
  take(memory.become({}));
  await rest(0.1);
  log.info("gpu_model_runner.py:2602", `Starting to load model ${config.model}...`);
  if (config.neverReady) await new Promise(() => {});
  take(memory.become({ weights: "loaded" }));
  await loadShards(config, log, rest);
  const weightsGib = formatGib(plan.weightsBytes);
  log.info("gpu_model_runner.py:2653", `Model loading took ${weightsGib} GiB memory and ${seconds(startedAt)} seconds`);
  await rest(0.15);
  log.info("backends.py:548", "Using cache directory: /root/.cache/vllm/torch_compile_cache for vLLM's torch.compile");
  log.info("monitor.py:34", `torch.compile takes ${((0.15 * pace.loadMs) / 1000).toFixed(2)} s in total`);
  refuseReleasedMemory(memory, freeAtStart);
  const kvCacheTokens = Math.floor(plan.kvCacheBytes / kvBytesPerToken);
  log.info("gpu_worker.py:298", `Available KV cache memory: ${formatGib(plan.kvCacheBytes)} GiB`);
  if (plan.kvCacheBytes <= 0) {
    throw new LoadError(
      "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
    );
  }
  take(memory.become({ kvCache: "on gpu" }));
  log.info(
    "kv_cache_utils.py:1087",
    `GPU KV cache size: ${kvCacheTokens.toLocaleString("en-US")} tokens${concurrencyOf(version, config, kvCacheTokens)}`,
  );
  await captureGraphs(log, rest);
  const took = version.manner === "0.32" ? `${seconds(startedAt, 2)} s` : `${seconds(startedAt)} seconds`;
  log.info("core.py:402", `init engine (profile, create kv cache, warmup model) took ${took}`);
  return kvCacheTokens;
}

/** What the newer manner adds to the line about the KV cache. */
function concurrencyOf({ manner }: EngineVersion, { maxModelLenTokens }: CoreConfig, kvCacheTokens: number): string {
  if (manner === "0.28") return "";
  const times = (kvCacheTokens / maxModelLenTokens).toFixed(2);
  return `, Maximum concurrency for ${maxModelLenTokens.toLocaleString("en-US")} tokens per request: ${times}x`;
}

/** Waits `ms`; 0 does not wait at all. */
export async function restFor(ms: number): Promise<void> {
  if (ms > 0) await sleep(ms);
}

function refuseFullGpu(config: CoreConfig, memory: EngineMemory): void {
  for (const { gpu, freeBytes } of memory.freeBytes()) {
    const wantedBytes = Math.floor(gpu.totalBytes * config.gpuMemoryUtilization);
    if (freeBytes >= wantedBytes) continue;
    throw new LoadError(
      `ValueError: Free memory on device cuda:${gpu.index} (${formatGib(freeBytes)}/${formatGib(gpu.totalBytes)} GiB) on startup is ` +
        `less than desired GPU memory utilization (${config.gpuMemoryUtilization}, ${formatGib(wantedBytes)} GiB). ` +
        "Decrease GPU memory utilization or reduce GPU memory used by other processes.",
    );
  }
}

/** vLLM measures what it may use from the change of free memory, so memory that others release meanwhile ends the start. */
function refuseReleasedMemory(memory: EngineMemory, freeAtStart: ReturnType<EngineMemory["freeBytes"]>): void {
  for (const [at, { freeBytes }] of memory.freeBytes().entries()) {
    const initialBytes = freeAtStart[at]?.freeBytes ?? 0;
    if (freeBytes < initialBytes) continue;
    throw new LoadError(
      `AssertionError: Error in memory profiling. Initial free memory ${formatGib(initialBytes)} GiB, current free memory ` +
        `${formatGib(freeBytes)} GiB. This happens when other processes sharing the same container release GPU memory while vLLM is ` +
        "profiling during initialization. To fix this, ensure consistent GPU memory allocation or isolate vLLM in its own container.",
    );
  }
}

function take(result: HoldResult): void {
  if (result.granted) return;
  throw new LoadError(
    `torch.OutOfMemoryError: CUDA out of memory. Tried to allocate ${formatGib(result.wantedBytes)} GiB. ` +
      `GPU ${result.device} has ${formatGib(result.freeBytes)} GiB free.`,
  );
}

async function loadShards(config: CoreConfig, log: Log, rest: (share: number) => Promise<void>): Promise<void> {
  const shards = Math.max(4, Math.ceil(config.weightsBytes / shardBytes));
  const startedAt = performance.now();
  for (let done = 0; done <= shards; done += 1) {
    const percent = String(Math.round((100 * done) / shards)).padStart(3);
    const elapsedMs = performance.now() - startedAt;
    const leftMs = done === 0 ? 0 : (elapsedMs / done) * (shards - done);
    const speed = done === 0 ? "?it/s" : `${((1000 * done) / Math.max(1, elapsedMs)).toFixed(2)}it/s`;
    log.plain(
      `\rLoading safetensors checkpoint shards: ${percent}% Completed | ${done}/${shards} [${clock(elapsedMs)}<${done === 0 ? "?" : clock(leftMs)}, ${speed}]`,
    );
    if (done < shards) await rest(0.45 / shards);
  }
  log.info("default_loader.py:267", `Loading weights took ${seconds(startedAt)} seconds`);
}

async function captureGraphs(log: Log, rest: (share: number) => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  for (let done = 0; done <= graphCount; done += 7) {
    const percent = Math.round((100 * done) / graphCount);
    const bar = "█".repeat(Math.round(percent / 10)).padEnd(10);
    const elapsed = clock(performance.now() - startedAt);
    log.plain(
      `\rCapturing CUDA graphs (mixed prefill-decode, PIECEWISE): ${String(percent).padStart(3)}%|${bar}| ${done}/${graphCount} [${elapsed}<00:00]`,
    );
    if (done < graphCount) await rest(0.3 / (graphCount / 7));
  }
  log.info("gpu_model_runner.py:3480", `Graph capturing finished in ${seconds(startedAt, 0)} secs, took 0.25 GiB`);
}

function seconds(sinceMs: number, digits = 6): string {
  return ((performance.now() - sinceMs) / 1000).toFixed(digits);
}

function clock(ms: number): string {
  const whole = Math.floor(ms / 1000);
  return `${String(Math.floor(whole / 60)).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
}
