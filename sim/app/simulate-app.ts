/** Runs one scenario of the whole app to its end, or to the first broken rule. */
import { Trace } from "../trace.ts";
import { AppWorld, type PlatformMutation } from "./app-world.ts";
import { withoutSockets } from "./network.ts";
import type { BrokenRule } from "./referee.ts";
import type { AppScenario } from "./scenario.ts";
import { nextTurn, virtualAbortTimeouts } from "./simulated-time.ts";

/** No scenario needs more events; one that does goes in circles. */
const EVENTS_MAX = 60_000;

/** Scenarios whose clients hang on an engine that stands still for ever are ended after this, in ms. */
const QUIET_MAX_MS = 600_000;

/** How long an end may take beyond the time that is given to what still runs: hung processes are tried to be ended again and again. */
const END_SLACK_MS = 900_000;

/** After a second signal the program is gone at once; what goes on in one that is embedded is looked at for so long, in ms. */
const AFTER_KILL_MS = 60_000;

/** How a run ended. */
export interface AppOutcome {
  /** Null when every rule held. */
  readonly broken: BrokenRule | null;
  readonly events: number;
  readonly virtualMs: number;
  readonly requests: number;
  /** The same for two runs in which the same happened at the same times. */
  readonly fingerprint: string;
  /** What happened, a line each; empty unless asked for. */
  readonly lines: readonly string[];
}

/** One run at a time: servers and abort signals of this process live in its time while it lasts. */
export async function simulateApp(
  scenario: AppScenario,
  options: {
    readonly mutation?: PlatformMutation;
    readonly keepLines?: boolean;
  } = {},
): Promise<AppOutcome> {
  const trace = new Trace({ keepLines: options.keepLines === true });
  const { mutation = (platform) => platform } = options;
  const world = new AppWorld(scenario, trace, mutation);
  const onError = (error: unknown): void => world.onError(error);
  process.on("unhandledRejection", onError);
  process.on("uncaughtException", onError);
  const restore = [withoutSockets(() => world.life.network), virtualAbortTimeouts(world.clock)];
  const progress = { events: 0 };
  try {
    await run(world, progress);
    world.checkEnd();
  } finally {
    for (const each of restore) each();
    process.off("unhandledRejection", onError);
    process.off("uncaughtException", onError);
    world.clear();
  }
  return {
    broken: world.referee.broken,
    events: progress.events,
    virtualMs: world.clock.nowMs,
    requests: scenario.clients.length,
    fingerprint: trace.fingerprint,
    lines: trace.lines ?? [],
  };
}

async function run(world: AppWorld, progress: { events: number }): Promise<void> {
  const { clock, referee, scenario } = world;
  const lastPlannedMs = Math.max(0, ...scenario.clients.map(({ atMs }) => atMs), ...scenario.killedAtMs);
  world.begin();
  await nextTurn();
  while (referee.broken === null && progress.events < EVENTS_MAX) {
    if (world.endBeganAtMs === null && (world.isDone || clock.nowMs > lastPlannedMs + QUIET_MAX_MS)) {
      world.beginEnd();
      await nextTurn();
    }
    if (!step(world)) {
      if (world.endBeganAtMs !== null) break;
      world.beginEnd();
    }
    progress.events += 1;
    await nextTurn();
    world.afterEvent();
    if (world.killedAtMs !== null && clock.nowMs > world.killedAtMs + AFTER_KILL_MS) break;
    const endBeganAtMs = world.endedAtMs === null ? world.endBeganAtMs : null;
    const endMaxMs = scenario.settings.shutdownTimeoutMs + END_SLACK_MS;
    if (endBeganAtMs !== null && clock.nowMs > endBeganAtMs + endMaxMs) break;
  }
  referee.demand(progress.events < EVENTS_MAX, "the end comes", () => `more than ${EVENTS_MAX} events, and no end`);
}

/** False when nothing more will happen. */
function step(world: AppWorld): boolean {
  try {
    return world.clock.step();
  } catch (error) {
    world.onError(error);
    return true;
  }
}
