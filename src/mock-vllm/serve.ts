/** `mock-vllm serve`: the API server's process, from its first line to its exit code. */
import { once } from "node:events";
import { assert } from "../base/assert.ts";
import { bindAddress } from "./bound-address.ts";
import type { BoundAddress } from "./bound-address.ts";
import type { CoreConfig } from "./core-protocol.ts";
import { EngineDeadError } from "./engine-link.ts";
import { Engine } from "./engine.ts";
import { defaultVersion, engineVersion } from "./engine-version.ts";
import type { EngineVersion } from "./engine-version.ts";
import { EventRing } from "./event-ring.ts";
import { Faults, parseFaults } from "./faults.ts";
import { createListener, keepAliveOf } from "./http/listener.ts";
import type { Listener } from "./http/listener.ts";
import { defaultLedgerDir, Ledger } from "./ledger.ts";
import { openLog } from "./log-lines.ts";
import type { Log } from "./log-lines.ts";
import { weightsBytesOf } from "./memory-plan.ts";
import { Meters } from "./meters.ts";
import { paceOf } from "./pace.ts";
import { RequestLog } from "./request-log.ts";
import { parseServeArguments } from "./serve-arguments.ts";
import type { ServeArguments } from "./serve-arguments.ts";
import type { Services } from "./services.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** How long EngineCore has to end when asked, in ms. */
const coreGraceMs = 3_000;
/** How long an open connection may hold up the exit after its request was ended, in ms. */
const closeGraceMs = 200;

/** Serves until the process is ended; throws `UsageError` for arguments that make no sense. */
export async function serve(words: readonly string[]): Promise<void> {
  const { env } = process;
  const args = parseServeArguments(words, env);
  const settings = readSettings(args.mockFlags, env);
  const version = engineVersion(settings.version ?? defaultVersion);
  const keepAliveMs = keepAliveOf(env);
  const faults = openFaults(settings);
  const log = openLog("APIServer", env, version.manner);
  const address = await bindOrExit(args, log);
  sayVersion(version, args.model, log);
  log.info("utils.py:233", `non-default args: ${JSON.stringify({ model_tag: args.model, port: args.port })}`);
  if (args.apiServerCount > 1)
    log.warning("api_server.py:1900", "the stand-in runs one API server, whatever --api-server-count says");
  exitIfOrdered(faults, log);
  const core = coreConfig(args, settings, faults);
  const pace = paceOf(settings, core.weightsBytes);
  const engine = new Engine({ core, version, faults, pace, maxNumSeqs: args.maxNumSeqs });
  const listener = createListener(() => services, keepAliveMs);
  const services: Services = {
    args,
    settings,
    version,
    engine,
    faults,
    events: new EventRing(),
    requests: new RequestLog(),
    meters: new Meters(args.servedModelNames[0] ?? args.model),
    log,
    devMode: env["VLLM_SERVER_DEV_MODE"] === "1",
    createdSecs: Math.floor(Date.now() / 1000),
    stopReading: (ms) => listener.stopReading(ms),
  };
  obeySignals(services, listener, core.ignoreSigterm);
  await runUntilDead(services, listener, address, pace.cleanUpMs);
}

/** The first lines: in the versions that have a banner, with the version in the middle of it. */
function sayVersion(version: EngineVersion, model: string, log: Log): void {
  if (!version.printsBanner) return log.info("api_server.py:1896", `vLLM API server version ${version.name}`);
  return log.info(
    "api_utils.py:347",
    [
      "",
      "       █     █     █▄   ▄█",
      ` ▄▄ ▄█ █     █     █ ▀▄▀ █  version ${version.name}`,
      `  █▄█▀ █     █     █     █  model   ${model}`,
      "   ▀▀  ▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀",
      "",
    ].join("\n"),
  );
}

async function runUntilDead(
  services: Services,
  listener: Listener,
  address: BoundAddress,
  cleanUpMs: number,
): Promise<void> {
  const { engine, log, events, faults, settings, version } = services;
  try {
    await engine.link.ready;
  } catch (error) {
    assert(error instanceof EngineDeadError, "a start fails by EngineCore's death alone");
    if (isStopping) return;
    log.plain("Traceback (most recent call last):");
    log.plain("RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}");
    process.exit(1);
  }
  const deaf = faults.take("stop-reading");
  if (deaf !== undefined) listener.stopReading(deaf === "" ? undefined : Number(deaf));
  const server = version.manner === "0.32" ? "server" : "API server 0";
  log.info("entry.py:140", `Starting vLLM ${server} on ${address.name}`);
  log.plain(`INFO:     Started server process [${process.pid}]`);
  log.plain("INFO:     Waiting for application startup.");
  try {
    await address.listen(listener.server);
  } catch (error) {
    exitForAddress(error, log);
  }
  events.add("listening");
  log.plain("INFO:     Application startup complete.");
  await engine.link.died;
  if (isStopping) return;
  log.error("async_llm.py:525", "AsyncLLM output_handler failed: EngineDeadError: EngineCore encountered an issue.");
  await delay(settings.deadMs ?? 200);
  if (isStopping) return;
  // From here on connections are refused, while the process takes its time to end.
  log.plain("INFO:     Shutting down");
  listener.server.close();
  listener.closeWebSockets();
  listener.server.closeIdleConnections();
  await delay(cleanUpMs);
  log.plain("INFO:     Application shutdown complete.");
  // An exit nobody asked for, and still 0: that is how the real one ends.
  process.exit(0);
}

let isStopping = false;

function obeySignals(services: Services, listener: Listener, ignoresSigterm: boolean): void {
  const { engine, args, version, log, faults } = services;
  const stop = async (signal: string): Promise<void> => {
    const ignores = signal === "SIGTERM" && (ignoresSigterm || faults.take("ignore-sigterm") !== undefined);
    if (isStopping || ignores) return;
    isStopping = true;
    const timeoutMs = version.drainsOnShutdown ? args.shutdownTimeoutMs : 0;
    if (version.manner === "0.32") {
      const mode = timeoutMs === 0 ? "abort" : "drain";
      log.info("launcher.py:254", "[shutdown] API server: shutdown triggered");
      log.info(
        "launcher.py:270",
        `[shutdown] API server: stopping engine client mode=${mode} timeout=${timeoutMs / 1000}s`,
      );
    }
    log.plain("INFO:     Shutting down");
    const closed = listener.server.listening ? once(listener.server, "close") : Promise.resolve();
    listener.server.close();
    if (timeoutMs > 0) await Promise.race([engine.decoder.pause("wait"), delay(timeoutMs)]);
    await engine.decoder.pause("abort");
    // The last bytes of what was aborted go out before the process does.
    await delay(0);
    listener.closeWebSockets();
    listener.server.closeIdleConnections();
    await Promise.race([closed, delay(closeGraceMs)]);
    await engine.link.stop(coreGraceMs);
    log.plain("INFO:     Application shutdown complete.");
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop(signal));
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function bindOrExit(args: ServeArguments, log: Log): Promise<BoundAddress> {
  try {
    return await bindAddress(args);
  } catch (error) {
    return exitForAddress(error, log);
  }
}

/** Exits with 1 as Python does when the address cannot be had; passes every other error on. */
function exitForAddress(error: unknown, log: Log): never {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const reasons: Record<string, string> = {
    EADDRINUSE: "[Errno 98] Address already in use",
    EACCES: "[Errno 13] Permission denied",
    EADDRNOTAVAIL: "[Errno 99] Cannot assign requested address",
  };
  const reason = reasons[String(code)];
  if (reason === undefined) throw error;
  log.plain("Traceback (most recent call last):");
  log.plain(`OSError: ${reason}`);
  process.exit(1);
}

function coreConfig(args: ServeArguments, settings: Settings, faults: Faults): CoreConfig {
  return {
    model: args.model,
    weightsBytes: settings.weightsBytes ?? weightsBytesOf(args.model),
    gpuMemoryUtilization: args.gpuMemoryUtilization,
    tensorParallelSize: args.tensorParallelSize,
    sleepModeEnabled: args.sleepModeEnabled,
    maxModelLenTokens: args.maxModelLenTokens,
    shutdownTimeoutMs: args.shutdownTimeoutMs,
    settings,
    neverReady: faults.take("never-ready") !== undefined,
    ignoreSigterm: faults.take("ignore-sigterm") !== undefined,
  };
}

function openFaults(settings: Settings): Faults {
  const ordered = parseFaults(settings.faults ?? "");
  const { faultsFile } = settings;
  return new Faults(ordered, faultsFile, (action) => {
    using ledger = Ledger.open(settings.ledgerDir ?? defaultLedgerDir());
    ledger.exclusively(action);
  });
}

function exitIfOrdered(faults: Faults, log: Log): void {
  const order = faults.take("exit-at-start");
  if (order === undefined) return;
  const match = /^(?:(\d+):)?(.*)$/s.exec(order);
  log.plain("Traceback (most recent call last):");
  log.plain(match?.[2] === "" || match?.[2] === undefined ? "RuntimeError: mock fault: exit-at-start" : match[2]);
  process.exit(Number(match?.[1] ?? 1));
}
