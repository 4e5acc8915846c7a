/** One request in the scheduler of an engine, and how its reader is held back until there is something to read. */

/** What ends a job before its time. */
export type Ending = "abort" | "client gone" | "engine dead";

/** From its arrival to its end. */
export class Job {
  readonly promptTokens: number;
  readonly outputTokens: number;
  ending: Ending | undefined;
  isRunning = false;
  #wakeUp: (() => void) | undefined;

  constructor(promptTokens: number, outputTokens: number) {
    this.promptTokens = promptTokens;
    this.outputTokens = outputTokens;
  }

  /** Waits until `ms` have passed or the job is poked; undefined waits for the poke alone. */
  async rest(ms: number | undefined): Promise<void> {
    if (this.ending !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeUp = resolve;
    const timer = ms === undefined || ms === 0 ? undefined : setTimeout(resolve, ms);
    const immediate = ms === 0 ? setImmediate(resolve) : undefined;
    await promise;
    clearTimeout(timer);
    clearImmediate(immediate);
    this.#wakeUp = undefined;
  }

  /** Ends a rest. */
  poke(): void {
    this.#wakeUp?.();
  }

  /** The first reason counts. */
  end(ending: Ending): void {
    this.ending ??= ending;
    this.poke();
  }
}
