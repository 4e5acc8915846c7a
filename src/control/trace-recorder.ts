/** Records the requests of the running gateway as a trace for `llmux simulate`: when, for which model, how long; nothing of the content. */
import { describeError, type FailureCode } from "../base/failure.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { TokenEstimate } from "./token-estimate.ts";
import { TraceFileEnd } from "./trace-file-end.ts";

/** So long is a request held back for older ones that have not ended yet; then those get its time. */
export const HOLD_MS_MAX = 600_000;

/** So many requests are held at most; the oldest go first, into the file or, while that cannot be written, nowhere. */
export const HELD_MAX = 100_000;

/** How often what can be written is written. */
const WRITE_EVERY_MS = 1_000;

/** Requests that these ended had come as far as to wait for a model: they are part of the demand. */
const DEMAND: ReadonlySet<FailureCode> = new Set<FailureCode>([
  "queue_timeout",
  "queue_full",
  "wait_too_long",
  "start_failed",
  "wake_failed",
  "out_of_memory",
  "sleep_failed",
  "stop_failed",
  "engine_crashed",
  "engine_unreachable",
  "drain_timeout",
  "stopped_by_operator",
]);

/** What a recorder is made of. */
export interface TraceRecorderOptions {
  /** Written from its end on if it is there and a trace. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
  /**
   * When the oldest request that is in progress arrived, in ms since 1970; null when none is. Without it every request is held
   * back for `HOLD_MS_MAX`, since older ones may still end.
   */
  readonly oldestInProgress?: () => number | null;
}

interface Held {
  readonly atMs: number;
  /** Without its time. */
  readonly rest: string;
}

/**
 * A trace is in the order of arrival, and requests end in another: so each is held until no older one is in progress. Times are
 * seconds since 1970, which go on from run to run; where the clock was set back, they stand still until it has caught up.
 *
 * A file that cannot be written costs the trace and nothing else: that is logged once, and tried again until it succeeds.
 */
export class TraceRecorder {
  readonly #options: TraceRecorderOptions;
  readonly #tokens = new TokenEstimate();
  /** In the order of arrival. */
  #held: Held[] = [];
  #lastMs = 0;
  #file: TraceFileEnd | null = null;
  #timer: TimerHandle | null = null;
  /** Ends when what was to be written last is. Never rejects. */
  #writing: Promise<void> = Promise.resolve();
  #isFailing = false;
  #lostCount = 0;
  #isClosed = false;

  constructor(options: TraceRecorderOptions) {
    this.#options = options;
  }

  /** Takes a request that is over. What was none of the models' business is left out. */
  record(access: AccessRecord): void {
    const { model, arrivedAtEpochMs: atMs } = access;
    // A name with a comma would be two values.
    if (this.#isClosed || model === null || model.includes(",") || !isDemand(access)) return;
    const { promptTokens, outputTokens } = this.#tokens.countsOf(model, access);
    const held = { atMs, rest: `${model},${promptTokens},${outputTokens}` };
    this.#held.splice(this.#held.findLastIndex((other) => other.atMs <= atMs) + 1, 0, held);
    if (this.#held.length > HELD_MAX && this.#isFailing) {
      this.#held.shift();
      this.#lostCount += 1;
    }
    this.#planWrite();
  }

  /** Writes all that is held, whatever is still in progress, and closes the file. Nothing is recorded afterwards. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#writing;
    await this.#write(this.#held.length);
    await this.#file?.close().catch(() => {});
    this.#file = null;
  }

  #planWrite(): void {
    if (this.#timer !== null || this.#isClosed) return;
    this.#timer = this.#options.clock.after(WRITE_EVERY_MS, () => {
      this.#writing = this.#writeReady();
    });
  }

  async #writeReady(): Promise<void> {
    await this.#write(this.#readyCount());
    this.#timer = null;
    if (this.#held.length > 0) this.#planWrite();
  }

  /** How many of those that are held, the oldest, nobody can come before any more. */
  #readyCount(): number {
    const { clock, oldestInProgress } = this.#options;
    const heldOutMs = clock.epochMs() - HOLD_MS_MAX;
    const oldestMs = oldestInProgress === undefined ? heldOutMs : (oldestInProgress() ?? Infinity);
    const ready = this.#held.findIndex(({ atMs }) => atMs > Math.max(oldestMs, heldOutMs));
    return Math.max(ready === -1 ? this.#held.length : ready, this.#held.length - HELD_MAX);
  }

  async #write(count: number): Promise<void> {
    if (count === 0) return;
    const batch = this.#held.slice(0, count);
    try {
      this.#file = await this.#fileInPlace();
      let lastMs = this.#lastMs;
      const lines = batch.map(({ atMs, rest }) => {
        lastMs = Math.max(lastMs, Math.round(atMs));
        return `${(lastMs / 1000).toFixed(3)},${rest}\n`;
      });
      await this.#file.append(lines.join(""));
      this.#lastMs = lastMs;
      const written = new Set(batch);
      this.#held = this.#held.filter((held) => !written.has(held));
      this.#succeeded();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Begins anew where the file was taken away, so that one can be put aside while llmux runs. */
  async #fileInPlace(): Promise<TraceFileEnd> {
    if (this.#file !== null && (await this.#file.isInPlace())) return this.#file;
    await this.#file?.close();
    this.#file = null;
    const file = await TraceFileEnd.open(this.#options.file);
    this.#lastMs = Math.max(this.#lastMs, Math.round(file.lastTimestampS * 1000));
    return file;
  }

  #failed(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#options.log.error("trace not recorded", { file: this.#options.file, reason: describeError(error) });
  }

  #succeeded(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#options.log.info("trace recorded again", { file: this.#options.file, lostRequests: this.#lostCount });
    this.#lostCount = 0;
  }
}

/** Whether an engine had it, or should have had it; what the engine itself refused cost it nothing. */
function isDemand({ outcome, status, failure }: AccessRecord): boolean {
  if (outcome === "refused") return failure !== undefined && DEMAND.has(failure.code);
  return outcome !== "served" || status < 400;
}
