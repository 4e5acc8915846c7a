/** Those who look at llmux and those who operate it: through the same doors as in earnest, and answered at once. */
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import { ClientConnection, type ClientEnd } from "./client-connection.ts";
import { GATEWAY_ADDRESS, METRICS_ADDRESS } from "./config-of.ts";
import { secretOf } from "./key-rules.ts";
import type { LlmuxLife } from "./llmux-life.ts";
import type { Referee } from "./referee.ts";
import type { PlannedVisit } from "./scenario.ts";

/** What a visit needs. */
export interface VisitParts {
  readonly clock: VirtualClock;
  readonly referee: Referee;
  readonly life: LlmuxLife;
  readonly socketPath: string;
  readonly models: readonly string[];
  /** The name of a key for all models; null where none is asked for. */
  readonly key: string | null;
  /** Whether nobody may be there, or go in the middle of it. */
  readonly mayBeClosed: () => boolean;
}

/** Statuses that an operator may get. */
const ORDER_STATUSES: ReadonlySet<number> = new Set([200, 409, 503]);

/**
 * Makes one visit; `onOver` when it is over. Rule "looking gets an answer at once": every look is answered in the instant in
 * which it is made, whatever the engines do, and so is every order.
 */
export function visit({ what }: PlannedVisit, parts: VisitParts, onOver: () => void): void {
  const { clock, referee, life, mayBeClosed } = parts;
  const atMs = clock.nowMs;
  const isOrder = what.kind === "order";
  const path = isOrder ? `/models/${what.model}/${what.command}` : what.at;
  const connection = new ClientConnection(clock, life.network, addressOf(what, parts.socketPath));
  const demand = (condition: boolean, message: () => string): void =>
    referee.demand(condition, "looking gets an answer at once", () => `${path} ${message()}`);
  const onEnd = (end: ClientEnd): void => {
    onOver();
    clock.after(0, () => connection.leave(true));
    if (end.kind !== "answered") return demand(mayBeClosed(), () => `ends as ${end.kind}`);
    const { status, body } = end.response;
    demand(clock.nowMs === atMs, () => `is answered after ${clock.nowMs - atMs} ms`);
    const fits = isOrder ? ORDER_STATUSES.has(status) : status === 200;
    demand(fits, () => `is answered ${status} ${body.toString()}`);
    if (path === "/metrics") life.books.checkMetrics(body.toString());
    if (path === "/v1/models" || path === "/status") {
      const text = body.toString();
      demand(
        parts.models.every((model) => text.includes(`"${model}"`)),
        () => `does not name all models: ${text}`,
      );
    }
    return undefined;
  };
  const lines = [`${isOrder ? "POST" : "GET"} ${path} HTTP/1.1`, "host: llmux", "content-length: 0"];
  if (parts.key !== null) lines.push(`authorization: Bearer ${secretOf(parts.key)}`);
  const head = `${lines.join("\r\n")}\r\n\r\n`;
  connection.ask({ onBody: () => {}, onEnd }, head, [], 0);
}

function addressOf(what: PlannedVisit["what"], socketPath: string): string {
  if (what.kind === "order" || what.at === "/status") return socketPath;
  return what.at === "/metrics" ? METRICS_ADDRESS : GATEWAY_ADDRESS;
}
