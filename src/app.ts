/** Puts the parts together: configuration in, a gateway that can be started, drained and killed out. */
import type { AddressInfo } from "node:net";
import { describeError } from "./base/failure.ts";
import { controlSocketPath, switchCostFile } from "./base/state-files.ts";
import type { TlsIdentity } from "./base/tls-identity.ts";
import type { Config } from "./config/config.ts";
import { isGpuless } from "./config/placement-plan.ts";
import { AccessLog } from "./control/access-log.ts";
import { ControlServer } from "./control/control-server.ts";
import { takeExplanation, type ExplanationDocument, type ExplanationQuery } from "./control/explanation.ts";
import { logJournal } from "./control/journal-log.ts";
import { MetricsServer } from "./control/metrics-server.ts";
import type { OperatorDesk } from "./control/operator-routes.ts";
import { Metrics } from "./control/metrics.ts";
import { ModelStories } from "./control/model-stories.ts";
import { TraceRecorder } from "./control/trace-recorder.ts";
import { takeStatus, type StatusDocument } from "./control/status.ts";
import { SwitchCostFile } from "./control/switch-cost-file.ts";
import { SwitchHistory } from "./control/switch-history.ts";
import { waitPromise } from "./control/wait-promise.ts";
import type { Effects } from "./core/effects.ts";
import type { JournalEntry } from "./core/journal.ts";
import type { Verdict } from "./core/policy.ts";
import { Scheduler } from "./core/scheduler.ts";
import type { Snapshot } from "./core/snapshot.ts";
import type { GatewayLimits } from "./gateway/server.ts";
import { configuredMachine, type Machine } from "./machine.ts";
import { Orchestrator, type EngineEvents, type OrchestratorOptions } from "./orchestrator/orchestrator.ts";
import { Alarm } from "./ports/alarm.ts";
import type { HttpClient } from "./ports/http-client.ts";
import type { Log } from "./ports/log.ts";
import type { InstanceLock } from "./platform/instance-lock.ts";
import type { Platform } from "./platform/platform.ts";
import { TlsKeeper } from "./platform/tls-keeper.ts";
import { modelSpecs, schedulerOptions } from "./scheduling.ts";
import { EngineLives } from "./workers/engine-lives.ts";
import { createFront } from "./workers/front.ts";

/** A gateway with its engines. */
export interface App {
  /**
   * Cleans up after a run that was killed, then listens. No engine is started before somebody asks for it. Rejects with a
   * sentence, and leaves nothing behind, when a port is taken or another llmux has the state folder.
   */
  start(): Promise<{ readonly gateway: AddressInfo; readonly metricsPort: number | null }>;
  /** Takes no more requests, lets running ones finish within the shutdown timeout, and ends all engines. */
  drain(): Promise<void>;
  /** Ends everything now, engines included. Synchronous: for a second signal, or a bug. */
  kill(): void;
  /** Who is awake and who waits, at this moment. */
  snapshot(): Snapshot;
  /** The same as operators see it. */
  status(): StatusDocument;
  /** Why things are as they are. */
  explain(query: ExplanationQuery): ExplanationDocument;
}

/** What an app is made of besides its configuration. */
export interface AppOptions {
  readonly platform: Platform;
  readonly log: Log;
  readonly version: string;
  /** What `lookAtMachine` has found; without it only the configuration tells of GPUs and memory. */
  readonly machine?: Machine;
  /** Whether the metrics tell of the process too; true unless said otherwise. For those who run many apps in one process. */
  readonly processMetrics?: boolean;
  /** Hears everything that the scheduler's journal says, after log and metrics. */
  readonly onJournal?: (entry: JournalEntry) => void;
}

/**
 * So long after a surge of requests their memory is given back: the last of them have gone then too. What is outside of the heap is
 * free only when the second time is over.
 */
const SURGE_TIDY_MS: readonly number[] = [1_000, 4_000];

/** Builds an app; nothing runs before `start`. */
export function createApp(config: Config, options: AppOptions): App {
  const { platform, log, version } = options;
  const { clock } = platform;
  const startedAtEpochMs = clock.epochMs();
  const http = platform.createHttpClient();
  const finished = Promise.withResolvers<void>();

  const machine = options.machine ?? configuredMachine(config);
  const costFile = new SwitchCostFile({ file: switchCostFile(config.stateDir), clock, log });
  const lives = new EngineLives();
  const { createEnginePool: createPool } = platform;
  const orchestrator = new Orchestrator(
    {
      ...orchestratorOptions(config, platform, log, http, machine),
      // Workers have connections of their own, to the same engines.
      ...(config.workers === 1
        ? {}
        : { createPool: (origin, headers = []) => lives.follow(createPool(origin, headers), origin, headers) }),
    },
    engineEvents(() => scheduler, clock),
  );
  const alarm = new Alarm(clock, () => scheduler.onAlarm(clock.nowMs()));
  let isKilled = false;
  const history = new SwitchHistory();
  const stories = new ModelStories(history);
  const effects: Effects = {
    ...orchestrator.effects,
    grant: (lease) => front.grant(lease),
    refuse: (waiter, reason) => front.refuse(waiter, reason),
    revoke: (lease, reason) => front.revoke(lease, reason),
    alarmAt: (atMs) => alarm.set(isKilled ? null : atMs),
    record(entry) {
      front.record(entry);
      metrics.record(entry);
      history.record(entry);
      stories.record(entry);
      logJournal(log, entry);
      if (entry.kind === "switch ended") costFile.changed(() => scheduler.switchCosts());
      if (options.onJournal === undefined) return;
      isTelling = true;
      try {
        options.onJournal(entry);
      } finally {
        isTelling = false;
      }
    },
    finished: () => finished.resolve(),
  };
  const scheduler = new Scheduler(
    modelSpecs(config, machine.plan),
    {
      ...schedulerOptions(config.policy, machine.plan),
      hostMemoryBytes: machine.hostMemoryBytes,
      knownCosts: costFile.read(),
    },
    effects,
    clock.nowMs(),
  );
  let isTelling = false;
  const snapshot = (): Snapshot => {
    // Who hears the journal may look, but the scheduler is in the middle of something.
    if (!isTelling) gateway.catchUp();
    return scheduler.snapshot();
  };
  const metrics = new Metrics({
    models: config.models.map(({ name }) => name),
    version,
    snapshot,
    processMetrics: options.processMetrics ?? true,
  });
  const promise = waitPromise(config.policy);
  const status = (): StatusDocument =>
    takeStatus({ snapshot, directory: orchestrator, clock, promise, version, pid: process.pid, startedAtEpochMs });
  const onRenewed = (identity: TlsIdentity): void => {
    gateway.renewTls(identity);
    metricsServer?.renewTls(identity);
  };
  const tls = config.tls === null ? null : new TlsKeeper({ paths: config.tls, clock, log, onRenewed });
  const verdicts = (nowMs: number): readonly Verdict[] => scheduler.explain(nowMs);
  const explain = (query: ExplanationQuery): ExplanationDocument =>
    takeExplanation({ snapshot, verdicts, history, stories, clock, promise }, query);
  const recorder =
    config.recordTrace === null
      ? null
      : new TraceRecorder({
          file: config.recordTrace,
          clock,
          log,
          oldestInProgress: () => gateway.oldestArrivalEpochMs(),
        });
  const accessLog = new AccessLog({ log, clock });
  const front = createFront({
    workers: config.workers,
    gateway: {
      models: config.models.map(({ name, aliases, upstreamModel }) => ({
        id: name,
        aliases,
        upstreamName: upstreamModel,
      })),
      clock,
      apiKeys: config.apiKeys,
      adminKeyHash: config.adminKeyHash,
      spoolFolder: config.stateDir,
      bodyBytesMax: config.maxBodyBytes,
      limits: { ...gatewayLimits(config.limits), heartbeatMs: config.heartbeatMs },
      ...(tls === null ? {} : { tls: () => tls.identity() }),
      onAccess(entry) {
        metrics.recordAccess(entry);
        accessLog.record(entry);
        recorder?.record(entry);
      },
      onSurgeOver() {
        for (const afterMs of SURGE_TIDY_MS) clock.after(afterMs, () => platform.collectGarbage?.());
      },
      onBug: (error) =>
        log.error("bug", { message: describeError(error), stack: error instanceof Error ? error.stack : "" }),
    },
    snapshot,
    scheduler: () => scheduler,
    directory: orchestrator,
    lives,
    log,
    claimPort: platform.claimPort,
    tidyAfterMs: SURGE_TIDY_MS,
  });
  const { gateway } = front;
  const operators: OperatorDesk = {
    status,
    explain,
    findModel: (name) =>
      config.models.find((model) => model.name === name || model.aliases.includes(name))?.name ?? null,
    operate(model, command) {
      gateway.catchUp();
      return stories.duringOrder(model, () => scheduler.onOperator(model, command, clock.nowMs()));
    },
  };
  const control = new ControlServer({ socketPath: controlSocketPath(config.stateDir), ...operators });
  const { metricsPort: port, metricsHost: host, adminKeyHash: keyHash } = config;
  const metricsServer =
    port === 0
      ? null
      : new MetricsServer({
          host,
          port,
          page: () => metrics.page(),
          operators: keyHash === null ? null : { keyHash, desk: operators },
          ...(tls === null ? {} : { tls: () => tls.identity() }),
        });
  let lock: InstanceLock | null = null;

  let isClosed = false;
  let httpClosed: Promise<void> | null = null;
  /** Each call closes what has been opened since the last. */
  const closeDoors = async (): Promise<void> => {
    isClosed = true;
    tls?.close();
    gateway.destroy();
    await control.close();
    await metricsServer?.close();
    httpClosed ??= http.close();
    await httpClosed;
    accessLog.flush();
    costFile.flush(() => scheduler.switchCosts());
    lock?.release();
  };
  const killed = Promise.withResolvers<never>();
  killed.promise.catch(() => {});
  /** What opens although it was closed already is closed again. */
  const unlessClosed = async (): Promise<void> => {
    if (!isClosed) return;
    await closeDoors();
    throw new Error("closed");
  };

  const openDoors = async () => {
    // Before anything is taken for a leftover: who has lost its lock is still known by its socket.
    await control.listen();
    await unlessClosed();
    await orchestrator.endLeftovers();
    await unlessClosed();
    const metricsPort = (await metricsServer?.listen()) ?? null;
    const address = await gateway.listen(config.host, config.port);
    await unlessClosed();
    scheduler.onStarted(clock.nowMs());
    return { gateway: address, metricsPort };
  };

  return {
    async start() {
      try {
        lock = platform.lockStateDir(config.stateDir);
        return await Promise.race([openDoors(), killed.promise]);
      } catch (error) {
        await closeDoors();
        throw error;
      }
    },
    async drain() {
      await gateway.stopAccepting();
      scheduler.onShutdown(config.shutdownTimeoutMs, clock.nowMs());
      await finished.promise;
      await gateway.idle();
      orchestrator.letGo();
      await recorder?.close();
      await closeDoors();
    },
    kill() {
      orchestrator.killAll();
      isKilled = true;
      alarm.set(null);
      lock?.release();
      // Who embeds us lives on: nobody is to come in any more.
      killed.reject(new Error("llmux was killed during its start"));
      void closeDoors().catch(() => {});
    },
    snapshot,
    status,
    explain,
  };
}

/** What the engines of a configuration need on a platform. */
export function orchestratorOptions(
  config: Config,
  platform: Platform,
  log: Log,
  http: HttpClient,
  machine: Machine = configuredMachine(config),
): OrchestratorOptions {
  return {
    engines: enginesOn(machine, config),
    stateDir: config.stateDir,
    programs: {
      vllm: platform.resolveCommand(config.vllmCommand),
      sglang: config.sglangCommand,
      "llama-server": config.llamaServerCommand,
    },
    environment: platform.environment,
    limits: config.engineTimeouts,
    clock: platform.clock,
    processes: platform.processes,
    http,
    probe: platform.createGpuProbe(platform.resolveCommand(config.nvidiaSmiCommand)),
    log,
    claimPort: platform.claimPort,
    createPool: platform.createEnginePool,
  };
}

/** Where the GPUs are known, each engine is shown those that were chosen for it, and no other. */
function enginesOn({ plan }: Machine, { models }: Config): OrchestratorOptions["engines"] {
  const isKnown = plan.devices.some(({ memoryBytes }) => memoryBytes !== null);
  if (!isKnown) return models;
  const onGpus = plan.placements.filter(({ devices }) => !devices.some(isGpuless));
  const devices = new Map(onGpus.map((placement) => [placement.model, placement.devices.map(Number)]));
  return models.map((model) => ({ ...model, gpus: devices.get(model.name) ?? model.gpus }));
}

/** The limits to clients as the gateway has them. */
export function gatewayLimits(limits: Config["limits"]): Partial<GatewayLimits> {
  const { connectionsMax, headerBytesMax, headerTimeoutMs, bodyTimeoutMs, keepAliveMs, clientStallMs } = limits;
  return {
    connectionsMax,
    headerBytesMax,
    headersTimeoutMs: headerTimeoutMs,
    requestTimeoutMs: headerTimeoutMs + bodyTimeoutMs,
    // Often enough to keep short times, and seldom enough to cost nothing where all are long.
    timeoutCheckMs: Math.min(5_000, Math.ceil(Math.min(headerTimeoutMs, bodyTimeoutMs) / 4)),
    keepAliveTimeoutMs: keepAliveMs,
    stallTimeoutMs: clientStallMs,
  };
}

/** The engines' answers become the scheduler's events when they happen. */
function engineEvents(scheduler: () => Scheduler, clock: Platform["clock"]): EngineEvents {
  return {
    onAwake: (model) => scheduler().onAwake(model, clock.nowMs()),
    onWakeFailed: (model, reason) => scheduler().onWakeFailed(model, reason, clock.nowMs()),
    onAsleep: (model) => scheduler().onAsleep(model, clock.nowMs()),
    onSleepFailed: (model, reason) => scheduler().onSleepFailed(model, reason, clock.nowMs()),
    onStopped: (model) => scheduler().onStopped(model, clock.nowMs()),
    onStopFailed: (model, reason) => scheduler().onStopFailed(model, reason, clock.nowMs()),
    onCrashed: (model, reason) => scheduler().onCrashed(model, reason, clock.nowMs()),
    onMemoryMeasured: (model, measured) => scheduler().onMemoryMeasured(model, measured, clock.nowMs()),
  };
}
