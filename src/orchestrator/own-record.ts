/** The record of one engine's present life, kept up to date on disk. */
import { describeError } from "../base/failure.ts";
import type { Log } from "../ports/log.ts";
import type { ProcessIdentity } from "../ports/process-host.ts";
import type { EngineRecord, EngineRecords } from "./engine-record.ts";

/** A record that cannot be written costs the clean-up after a `kill -9`, not the service: faults of the disk are logged. */
export class OwnRecord {
  readonly #model: string;
  readonly #records: EngineRecords;
  readonly #log: Log;
  #record: EngineRecord | null = null;

  constructor(model: string, records: EngineRecords, log: Log) {
    this.#model = model;
    this.#records = records;
    this.#log = log;
  }

  /** To be called before the process is started. */
  begin(start: Pick<EngineRecord, "marker" | "port" | "command" | "stop">): void {
    const nobody = { pid: null, startTime: null, commandLines: [], executable: "" };
    this.#write({ model: this.#model, ...start, ...nobody });
  }

  /** The process is there. Called again when it may have changed its command line. */
  identify(pid: number, identity: ProcessIdentity | null): void {
    if (this.#record === null) return;
    const { commandLines, startTime, executable } = this.#record;
    this.#write({
      ...this.#record,
      pid,
      startTime: identity?.startTime ?? startTime,
      commandLines: identity === null ? commandLines : [...new Set([...commandLines, identity.commandLine])],
      executable: identity?.executable ?? executable,
    });
  }

  /** No process is left. A record that stays on disk names processes that are gone: the next start finds nobody. */
  forget(): void {
    this.#record = null;
    try {
      this.#records.remove(this.#model);
    } catch (error) {
      this.#log.warn("engine record not removed", { model: this.#model, reason: describeError(error) });
    }
  }

  #write(record: EngineRecord): void {
    this.#record = record;
    try {
      this.#records.write(record);
    } catch (error) {
      this.#log.warn("engine record not written", { model: this.#model, reason: describeError(error) });
    }
  }
}
