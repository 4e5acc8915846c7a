/** What must be left when the scheduler says that it has finished: nothing. */
import { demand } from "./violation.ts";
import type { View } from "./view.ts";

/** At shutdown a stop is given up only after so many failures in a row. */
const STOPS_TRIED = 3;

/** Checked when the shutdown has ended, or can never end. */
export class ShutdownRules {
  readonly #view: View;
  readonly #stopFailures = new Map<string, number>();
  #finished = false;

  constructor(view: View) {
    this.#view = view;
  }

  onStopFailed(model: string): void {
    this.#stopFailures.set(model, (this.#stopFailures.get(model) ?? 0) + 1);
  }

  onStopped(model: string): void {
    this.#stopFailures.delete(model);
  }

  onFinished(): void {
    demand(!this.#finished, "shutdown leaves nothing", () => "the end is told twice");
    demand(this.#view.shuttingDown, "shutdown leaves nothing", () => "the end is told, and nobody asked for it");
    this.#finished = true;
    for (const { id, phase } of this.#view.engines.all()) {
      const givenUp = phase === "left behind" && (this.#stopFailures.get(id) ?? 0) >= STOPS_TRIED;
      demand(phase === "off" || givenUp, "shutdown leaves nothing", () => `${id} is ${phase} at the end`);
      const out = this.#view.clients.running(id).size;
      demand(out === 0, "shutdown leaves nothing", () => `${out} leases of ${id} are out at the end`);
    }
  }

  afterEvent(): void {
    if (!this.#finished) return;
    demand(this.#view.alarmAtMs === null, "shutdown leaves nothing", () => "an alarm is armed after the end");
  }

  /** When no event is left after the shutdown was asked for. */
  atEnd(): void {
    demand(this.#finished, "no stall", () => "the shutdown never ends");
    demand(this.#view.outlook.finished, "shutdown leaves nothing", () => "the journal does not tell the end");
  }
}
