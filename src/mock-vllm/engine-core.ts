/**
 * The child process `VLLM::EngineCore`: it holds the memory, loads, sleeps and wakes.
 *
 * As with vLLM it is a process of its own in the API server's process group, and when only the API server is killed it
 * stays, holding its GPU memory, until someone ends it too.
 */
import type { ApiMessage, CoreCall, CoreConfig, CoreMessage } from "./core-protocol.ts";
import { loadEngine, LoadError, restFor } from "./engine-load.ts";
import { EngineMemory } from "./engine-memory.ts";
import { SleepMode } from "./sleep-mode.ts";
import { visibleGpus } from "./gpus.ts";
import { defaultLedgerDir, Ledger } from "./ledger.ts";
import { openLog } from "./log-lines.ts";
import type { Log } from "./log-lines.ts";
import { planMemory } from "./memory-plan.ts";
import { paceOf } from "./pace.ts";
import { processIdentity } from "./process-identity.ts";
import { engineVersion, defaultVersion } from "./engine-version.ts";
import type { EngineVersion } from "./engine-version.ts";

/** Runs EngineCore until it is ended; `configJson` is a `CoreConfig`. */
export async function runEngineCore(configJson: string): Promise<void> {
  const config = JSON.parse(configJson) as CoreConfig;
  process.title = "VLLM::EngineCore";
  const version = engineVersion(config.settings.version ?? defaultVersion);
  const log = openLog("EngineCore", process.env, version.manner);
  // Alive without its parent: nothing else keeps the event loop going once the channel is gone.
  setInterval(() => {}, 2 ** 30);
  obeySignals(config);
  process.on("message", (message) => {
    if (message === "exit") process.exit(0);
  });
  try {
    const { sleepMode, kvCacheTokens } = await start(config, version, log);
    serveCalls(sleepMode, log);
    tell({ kind: "ready", state: sleepMode.state, kvCacheTokens });
  } catch (error) {
    const text = error instanceof LoadError ? error.message : String(error instanceof Error ? error.stack : error);
    log.error("core.py:866", "EngineCore failed to start.");
    log.error("core.py:866", "Traceback (most recent call last):");
    log.error("core.py:866", text);
    process.exit(1);
  }
}

async function start(
  config: CoreConfig,
  version: EngineVersion,
  log: Log,
): Promise<{ sleepMode: SleepMode; kvCacheTokens: number }> {
  const { settings } = config;
  const owner = processIdentity(process.pid);
  if (owner === undefined) throw new LoadError("RuntimeError: this process cannot find itself in /proc");
  const ledger = Ledger.open(settings.ledgerDir ?? defaultLedgerDir(), settings);
  const visible = visibleGpus(ledger.gpus(), process.env["CUDA_VISIBLE_DEVICES"]);
  if (visible.length === 0) throw new LoadError("RuntimeError: No CUDA GPUs are available");
  const gpuCount = config.tensorParallelSize;
  if (gpuCount > visible.length) {
    throw new LoadError(
      `ValueError: World size (${gpuCount}) is larger than the number of available GPUs (${visible.length}) in this node.`,
    );
  }
  const plans = visible.slice(0, gpuCount).map((gpu) => ({
    gpu,
    plan: planMemory(gpu, {
      weightsBytes: config.weightsBytes,
      utilization: config.gpuMemoryUtilization,
      gpuCount,
      residueBytes: settings.residueBytes,
    }),
  }));
  const [first] = plans;
  if (first === undefined) throw new LoadError("RuntimeError: No CUDA GPUs are available");
  const memory = new EngineMemory(ledger, owner, plans);
  const pace = paceOf(settings, config.weightsBytes);
  const kvCacheTokens = await loadEngine({ config, version, memory, plan: first.plan, pace, log });
  const frees = config.sleepModeEnabled ? version.sleepFreesMemory : undefined;
  return { sleepMode: new SleepMode({ memory, pace, log, frees }), kvCacheTokens };
}

function obeySignals(config: CoreConfig): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (config.ignoreSigterm) return;
      // A signal to the whole group reaches us as well; while the API server lets its requests end, it is the one to end us.
      if (config.shutdownTimeoutMs > 0 && process.connected) {
        setTimeout(() => process.exit(0), config.shutdownTimeoutMs + 1000);
        process.once("disconnect", () => process.exit(0));
        return;
      }
      process.exit(0);
    });
  }
}

function serveCalls(sleepMode: SleepMode, log: Log): void {
  let last: Promise<void> = Promise.resolve();
  process.on("message", (message: ApiMessage | "exit") => {
    if (message === "exit") return;
    const { id, call } = message;
    // One after the other: a question asked during a transition is answered after it, as in vLLM.
    last = after(last, id, call);
  });

  async function after(previous: Promise<void>, id: number, call: CoreCall): Promise<void> {
    await previous;
    try {
      await perform(call, sleepMode, log);
      tell({ kind: "done", id, state: sleepMode.state });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      tell({ kind: "failed", id, state: sleepMode.state, message: text });
    }
  }
}

async function perform(call: CoreCall, sleepMode: SleepMode, log: Log): Promise<void> {
  switch (call.op) {
    case "state":
      return;
    case "sleep":
      return sleepMode.sleep(call.level, call);
    case "wake":
      return sleepMode.wake(call.tags, call);
    case "reload":
      if (!sleepMode.weightsAreMapped) return dieOfIllegalAccess(log);
      return sleepMode.reload();
    case "illegal access":
      return dieOfIllegalAccess(log);
    case "kill yourself":
      process.kill(process.pid, "SIGKILL");
      return restFor(1000);
  }
}

function dieOfIllegalAccess(log: Log): never {
  log.error("core.py:874", "EngineCore encountered a fatal error.");
  log.error("core.py:874", "Traceback (most recent call last):");
  log.error("core.py:874", "torch.AcceleratorError: CUDA error: an illegal memory access was encountered");
  process.exit(1);
}

function tell(message: CoreMessage): void {
  // The parent may be gone; then nobody has to be told.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
