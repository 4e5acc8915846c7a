/** What the journal, the log and the metrics of one life of llmux say, and whether they agree with each other. */
import type { JournalEntry } from "../../src/core/journal.ts";
import type { WaiterId } from "../../src/core/lease.ts";
import type { LogFields } from "../../src/ports/log.ts";
import type { Referee } from "./referee.ts";

/** One access record, as the log has it. */
export interface LoggedRequest {
  readonly requestId: string;
  readonly outcome: string;
  readonly status: number;
  readonly model: string;
}

/** Filled as llmux goes. */
export class Books {
  /** By request id. */
  readonly requests = new Map<string, LoggedRequest>();
  readonly #referee: Referee;
  readonly #waitMaxMs: number;
  readonly #waiting = new Map<WaiterId, string>();
  readonly #leasesOut = new Map<string, number>();
  /** How often each thing happened, by the name that the metrics have for it. */
  readonly #counts = new Map<string, number>();
  #isFinished = false;

  /** `waitMaxMs`: the longest that a request may wait. */
  constructor(referee: Referee, waitMaxMs: number) {
    this.#referee = referee;
    this.#waitMaxMs = waitMaxMs;
  }

  // ── the journal ───────────────────────────────────────────────────────────────────────────────────────────────────

  onJournal(entry: JournalEntry): void {
    if (entry.kind === "request queued") this.#waiting.set(entry.waiter, entry.model);
    else if (entry.kind === "request granted") {
      this.#endWait(entry);
      this.#count(`llmux_request_queue_wait_seconds_count{model="${entry.model}"}`);
      this.#leasesOut.set(entry.model, (this.#leasesOut.get(entry.model) ?? 0) + 1);
    } else if (entry.kind === "request refused") {
      this.#endWait(entry);
      this.#count(`llmux_requests_refused_total{model="${entry.model}",reason="${entry.failure.code}"}`);
    } else if (entry.kind === "request abandoned") this.#endWait(entry);
    else if (entry.kind === "lease released") {
      this.#leasesOut.set(entry.model, (this.#leasesOut.get(entry.model) ?? 0) - 1);
    } else if (entry.kind === "switch ended") this.#count('llmux_switch_total{result="success"}');
    else if (entry.kind === "switch failed") this.#count('llmux_switch_total{result="failure"}');
    else if (entry.kind === "switch cancelled") this.#count('llmux_switch_total{result="cancelled"}');
    else if (entry.kind === "engine crashed") this.#count(`llmux_engine_crashes_total{model="${entry.model}"}`);
    else if (entry.kind === "shutdown ended") this.#isFinished = true;
  }

  /** Rule "nobody waits longer than the timeout": from the queue to the grant or the refusal. */
  #endWait(entry: { readonly waiter: WaiterId; readonly waitedMs: number; readonly model: string }): void {
    this.#waiting.delete(entry.waiter);
    this.#referee.demand(
      entry.waitedMs <= this.#waitMaxMs,
      "nobody waits longer than the timeout",
      () => `a request for ${entry.model} waited for ${entry.waitedMs} ms`,
    );
  }

  // ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Rule "every request ends exactly once": there is one access record of it. Rule "llmux itself is sound": it logs no bug. */
  onLog(event: string, fields: LogFields): void {
    this.#referee.demand(event !== "bug", "llmux itself is sound", () => `a bug is logged: ${JSON.stringify(fields)}`);
    const outcome = /^request (served|refused|failed|abandoned)$/.exec(event)?.[1];
    if (outcome === undefined || typeof fields["request_id"] !== "string") return;
    const requestId = fields["request_id"];
    const model = typeof fields["model"] === "string" ? fields["model"] : "";
    const status = Number(fields["status"]);
    this.#referee.demand(
      !this.requests.has(requestId),
      "every request ends exactly once",
      () => `${requestId} ends twice`,
    );
    this.requests.set(requestId, { requestId, outcome, status, model });
    this.#count(`llmux_requests_total{model="${model}",status="${status}"}`);
  }

  // ── comparisons ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Rule "the metrics agree with the journal": at any moment each counter is what was told until then. */
  checkMetrics(page: string): void {
    const told = countersIn(page);
    for (const [name, count] of this.#counts) {
      this.#referee.demand(
        told.get(name) === count,
        "the metrics agree with the journal",
        () => `${name} is ${told.get(name)}, and it happened ${count} times`,
      );
    }
    for (const [name, count] of told) {
      this.#referee.demand(
        (this.#counts.get(name) ?? 0) === count,
        "the metrics agree with the journal",
        () => `${name} is ${count}, and it happened ${this.#counts.get(name) ?? 0} times`,
      );
    }
  }

  /** At the end of an orderly shutdown: nobody waits, and all leases are back. */
  checkEnd(): void {
    const agree = (condition: boolean, message: () => string): void =>
      this.#referee.demand(condition, "the end leaves nothing", message);
    agree(this.#isFinished, () => "the journal does not tell the end");
    agree(this.#waiting.size === 0, () => `the journal leaves ${this.#waiting.size} waiting`);
    for (const [model, out] of this.#leasesOut)
      agree(out === 0, () => `the journal leaves ${out} leases of ${model} out`);
  }

  #count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }
}

const COUNTERS =
  /^(llmux_request_queue_wait_seconds_count|llmux_requests_refused_total|llmux_requests_total|llmux_engine_crashes_total|llmux_switch_total)(\{.*\}) (\d+)$/;

/** Those that are kept here too; of a switch, its result alone. */
function countersIn(page: string): Map<string, number> {
  const counters = new Map<string, number>();
  for (const line of page.split("\n")) {
    const [, name, labels = "", value] = COUNTERS.exec(line) ?? [];
    if (name === undefined) continue;
    const kept = name === "llmux_switch_total" ? `{${/result="\w+"/.exec(labels)?.[0] ?? ""}}` : labels;
    counters.set(name + kept, (counters.get(name + kept) ?? 0) + Number(value));
  }
  return counters;
}
