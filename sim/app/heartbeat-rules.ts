/** Who hears heartbeats, when, and how many. */
import { requestIdOf } from "./answers.ts";
import type { SimulatedClient } from "./clients.ts";
import { WINDOW_BYTES } from "./connection.ts";
import type { Referee } from "./referee.ts";

/** What the rules know besides the client. */
export interface HeartbeatCircumstances {
  readonly referee: Referee;
  /** Null: there are none. */
  readonly intervalMs: number | null;
  readonly timerLagMs: number;
}

/** Heartbeats that are due this soon may be given with others, in ms. */
const TOGETHER_MS = 250;

/** The end of a life reaches llmux a little later than it happens, in ms. */
const NEWS_MS = 250;

/** What may lie there unread: in the systems' buffers, and in llmux. */
const UNREAD_MAX_BYTES = WINDOW_BYTES + 17 * 1024;

const FORM =
  /^: llmux model=(\S+) state="[a-z ]+"(?: stage="[a-z0-9 ]+")?(?: percent=(?:100|\d?\d))?(?: position=[1-9]\d*)?\n\n$/;

/** Checked as they come, and when a wait is over. */
export class HeartbeatRules {
  readonly #about: HeartbeatCircumstances;

  constructor(about: HeartbeatCircumstances) {
    this.#about = about;
  }

  /**
   * Rule "heartbeats are for those who wait": only for a stream, the first one only while no engine has the request, each tells of the
   * client's own model. Rule "heartbeats come in time": one in each interval, and no more.
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
      fits(client.onEngine === 0 || client.beats > 0, () => "hears a first heartbeat while an engine has its request");
      const silentMs = nowMs - silentSince(client);
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

  /** Who waits for a stream, or was promised one, has not heard nothing for longer than it should. */
  checkSilence(client: SimulatedClient, nowMs: number): void {
    const { intervalMs, timerLagMs } = this.#about;
    const { plan, hasBytes, beats, outsideSinceMs } = client;
    if (intervalMs === null || plan.form !== "stream" || hasBytes || !hearsAtOnce(client)) return;
    if (outsideSinceMs === null && beats === 0) return;
    const dueMs = silentSince(client) + intervalMs;
    // It may have been silent for longer when its engine broke.
    const latestMs = beats === 0 ? Math.max(dueMs, (outsideSinceMs ?? 0) + NEWS_MS) : dueMs;
    this.#demand(
      nowMs <= latestMs + timerLagMs + 1,
      "heartbeats come in time",
      client,
      () => `has heard nothing for ${nowMs - silentSince(client)} ms, and a heartbeat comes each ${intervalMs} ms`,
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

/** Since when it has said all that it has to say, or has heard a heartbeat. */
function silentSince({ plan, askedAtMs, heardAtMs }: SimulatedClient): number {
  return Math.max((askedAtMs ?? 0) + plan.sendMs, heardAtMs ?? 0);
}
