/** Ends an engine by the command that it has for that, as a container needs: signals to the program that started it do not reach it. */
import { failure, type Failure } from "../base/failure.ts";
import type { EnginePlan } from "../engines/engine.ts";
import { delay, type Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { EngineProcess, ExitStatus } from "../ports/process-host.ts";
import { outcomeText } from "./command-run.ts";
import type { RunCommand } from "./engine-control.ts";
import type { Look } from "./health.ts";
import { NEVER } from "./operations.ts";
import { untilSilent, type SilenceParts } from "./silence.ts";

/** An engine, as far as its end is concerned. */
export interface StoppedLife {
  readonly plan: EnginePlan;
  readonly process: EngineProcess;
  readonly look: Look;
  readonly exit: ExitStatus | null;
}

/** What it needs of the world. */
export interface StopParts {
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: { readonly stopGraceMs: number };
}

/**
 * Runs that command; afterwards what is left of our own processes has had its grace, and can be ended by signals. Resolves with what the
 * command did, in words; null where there is none.
 */
export async function endByCommand(model: string, life: StoppedLife, parts: StopParts): Promise<string | null> {
  const { stop } = life.plan;
  if (stop === null) return null;
  const { clock, log, limits } = parts;
  const wrong = await parts.run(stop.command, stop.timeoutMs, NEVER);
  const said = outcomeText(stop.command, wrong);
  if (wrong !== null) log.warn("stop command failed", { model, reason: said });
  if (wrong === null && life.exit === null) {
    const over = new AbortController();
    const grace = delay(clock, limits.stopGraceMs, over.signal).catch(() => {});
    await Promise.race([life.process.exited, grace]);
    over.abort();
  }
  return said;
}

/** When no process of ours is left: what `said` speaks of may have ended the client of a container, and not the container. */
export async function stillThere(
  model: string,
  { plan, look }: StoppedLife,
  said: string,
  parts: SilenceParts,
): Promise<Failure | null> {
  const isWell = async (): Promise<boolean> => (await look(NEVER)) === null;
  if (await untilSilent(plan.origin, parts, isWell)) return null;
  return failure("stop_failed", `the engine of ${model} still answers after ${said}`);
}
