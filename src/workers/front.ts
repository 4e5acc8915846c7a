/** The gateway, in the main thread or in workers: to the rest of the program it is the same. */
import { LeaseDesk } from "../gateway/lease-desk.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../gateway/server.ts";
import type { LeaseDeskOptions } from "../gateway/lease-desk.ts";
import type { Effects } from "../core/effects.ts";
import type { Snapshot } from "../core/snapshot.ts";
import type { EngineDirectory } from "../ports/engine-directory.ts";
import type { Log } from "../ports/log.ts";
import type { EngineLives } from "./engine-lives.ts";
import { GatewayWorkers } from "./gateway-workers.ts";
import { startThread } from "./thread.ts";

/** What it is made of. */
export interface FrontOptions {
  /** How many threads; 1: the one that there is. */
  readonly workers: number;
  readonly gateway: Omit<GatewayOptions, "desk" | "snapshot" | "commons"> &
    Required<Pick<GatewayOptions, "spoolFolder" | "onSurgeOver">>;
  readonly snapshot: () => Snapshot;
  readonly scheduler: LeaseDeskOptions["scheduler"];
  readonly directory: EngineDirectory;
  /** Follows the connections that the directory hands out, where there are workers. */
  readonly lives: EngineLives;
  readonly log: Log;
  readonly claimPort: (host: string, port: number) => Promise<unknown>;
  /** When a worker gives back the memory of a surge of requests, in ms after it. */
  readonly tidyAfterMs: readonly number[];
}

/** A gateway, and what is to be told of the scheduler's effects and its journal. */
export interface Front extends Pick<Effects, "grant" | "refuse" | "revoke" | "record"> {
  readonly gateway: Gateway;
}

/** Makes it; nothing listens yet. */
export function createFront(options: FrontOptions): Front {
  return options.workers === 1 ? inThisThread(options) : inWorkers(options);
}

function inThisThread({ gateway, snapshot, scheduler, directory }: FrontOptions): Front {
  const desk = new LeaseDesk({ clock: gateway.clock, scheduler, directory });
  return {
    gateway: createGateway({ ...gateway, desk, snapshot }),
    grant: (lease) => desk.onGrant(lease),
    refuse: (waiter, reason) => desk.onRefuse(waiter, reason),
    revoke: (lease, reason) => desk.onRevoke(lease, reason),
    record: (entry) => desk.onJournal(entry),
  };
}

function inWorkers(options: FrontOptions): Front {
  const { models, apiKeys = [], adminKeyHash = null, bodyBytesMax, spoolFolder, limits = {}, tls } = options.gateway;
  const { clock, onAccess, onSurgeOver, onBug } = options.gateway;
  const { workers, snapshot, scheduler, directory, lives, log, claimPort, tidyAfterMs } = options;
  const gateway = new GatewayWorkers({
    workers,
    setup: { models, apiKeys, adminKeyHash, bodyBytesMax, spoolFolder, limits, tidyAfterMs },
    clock,
    log,
    scheduler,
    snapshot,
    directory,
    lives,
    startThread,
    claimPort,
    onAccess,
    onSurgeOver,
    onBug,
    ...(tls === undefined ? {} : { tls }),
  });
  return {
    gateway,
    grant: (lease) => gateway.hub.onGrant(lease),
    refuse: (waiter, reason) => gateway.hub.onRefuse(waiter, reason),
    revoke: (lease, reason) => gateway.hub.onRevoke(lease, reason),
    record: (entry) => gateway.onJournal(entry),
  };
}
