/** Who hears heartbeats, when, and how many. */
import { requestIdOf } from "./answers.ts";
import type { SimulatedClient } from "./clients.ts";
import { WINDOW_BYTES } from "./connection.ts";
import type { Referee } from "./referee.ts";
import type { AppFault } from "./scenario.ts";

/** What the rules know besides the client. */
export interface HeartbeatCircumstances {
  readonly referee: Referee;
  /** Null: there are none. */
  readonly intervalMs: number | null;
  readonly timerLagMs: number;
  readonly faults: readonly AppFault[];
  /** Nobody may hear nothing for longer than the interval, whatever he waits for. */
  readonly isStrict: boolean;
}

/** Heartbeats that are due this soon may be given with others, in ms. */
const TOGETHER_MS = 250;

/** How long nobody beats for who waits for the news of a crash, and not in a queue; with some room, in ms. */
const CRASH_NEWS_MS = 16_000;

/** So many waits may follow each other, each a little too short for a heartbeat. */
const WAITS_MAX = 4;

/** What may lie there unread: in the systems' buffers, and in llmux. */
const UNREAD_MAX_BYTES = WINDOW_BYTES + 17 * 1024;

const FORM =
  /^: llmux model=(\S+) state="[a-z ]+"(?: stage="[a-z0-9 ]+")?(?: percent=(?:100|\d?\d))? position=[1-9]\d*\n\n$/;

/** Checked as they come, and when a wait is over. */
export class HeartbeatRules {
  readonly #about: HeartbeatCircumstances;
  /** Models and clients with which something goes wrong. */
  readonly #troubled: ReadonlySet<string | number>;

  constructor(about: HeartbeatCircumstances) {
    this.#about = about;
    this.#troubled = new Set(about.faults.map((fault) => ("model" in fault ? fault.model : fault.client)));
  }

  /**
   * Rule "heartbeats are for those who wait": only for a stream, only while no engine has the request, each tells of the client's
   * own model. Rule "heartbeats come in time": one in each interval, and no more.
   */
  onBeat(client: SimulatedClient, beat: string, nowMs: number): void {
    const { intervalMs } = this.#about;
    const { plan } = client;
    const fits = (condition: boolean, message: () => string): void =>
      this.#demand(condition, "heartbeats are for those who wait", client, message);
    fits(plan.form === "stream", () => "hears a heartbeat, and wanted no stream");
    fits(intervalMs !== null, () => "hears a heartbeat, and there are none");
    fits(FORM.exec(beat)?.[1] === plan.model, () => `hears ${JSON.stringify(beat)}, and wants ${plan.model}`);
    this.#checkPile(client, beat, nowMs);
    if (intervalMs !== null && hearsAtOnce(client)) {
      fits(client.onEngine === 0, () => "hears a heartbeat while an engine has its request");
      const silentMs = nowMs - silentSince(client, nowMs);
      this.#demand(
        silentMs >= intervalMs - TOGETHER_MS,
        "heartbeats come in time",
        client,
        () => `hears a heartbeat after ${silentMs} ms of ${intervalMs}`,
      );
      this.checkSilence(client, nowMs);
    }
    client.beats += 1;
    client.heardAtMs = nowMs;
  }

  /** Who waits for a stream has not heard nothing for longer than it should. */
  checkSilence(client: SimulatedClient, nowMs: number): void {
    const { intervalMs, timerLagMs, isStrict } = this.#about;
    if (intervalMs === null || client.plan.form !== "stream" || client.hasBytes || !hearsAtOnce(client)) return;
    const silentMs = nowMs - silentSince(client, nowMs);
    const { plan } = client;
    const mayMeetCrash = !isStrict && (this.#troubled.has(plan.model) || this.#troubled.has(plan.id));
    const waitMaxMs = intervalMs + timerLagMs + 1;
    const maxMs = mayMeetCrash ? WAITS_MAX * (waitMaxMs + CRASH_NEWS_MS) : waitMaxMs;
    this.#demand(
      silentMs <= maxMs,
      "heartbeats come in time",
      client,
      () => `has heard nothing for ${silentMs} ms, and a heartbeat comes each ${intervalMs} ms`,
    );
  }

  /** Rule "unread heartbeats do not pile up": one who reads again finds no more than a bound. */
  #checkPile(client: SimulatedClient, beat: string, nowMs: number): void {
    if (client.heardAtMs !== nowMs) client.heardNowBytes = 0;
    client.heardNowBytes += beat.length;
    this.#demand(
      client.heardNowBytes <= UNREAD_MAX_BYTES,
      "unread heartbeats do not pile up",
      client,
      () => `finds ${client.heardNowBytes} bytes of heartbeats`,
    );
  }

  #demand(
    condition: boolean,
    rule: Parameters<Referee["demand"]>[1],
    { plan }: SimulatedClient,
    message: () => string,
  ): void {
    this.#about.referee.demand(condition, rule, () => `${requestIdOf(plan)} ${message()}`);
  }
}

/** Behind another answer of its connection, or while it does not read, a client hears later what was said. */
function hearsAtOnce({ plan, isBehind }: SimulatedClient): boolean {
  return plan.pause === null && !isBehind;
}

/** Since when it waits and hears nothing; now, while it does not wait. */
function silentSince({ outsideSinceMs, heardAtMs }: SimulatedClient, nowMs: number): number {
  return outsideSinceMs === null ? nowMs : Math.max(outsideSinceMs, heardAtMs ?? 0);
}
