/** The record on disk of what runs, from which the next start cleans up if this one is killed. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileNameFor } from "../base/state-files.ts";

/** One engine. It is written before the process is started, so that there is no moment at which a process is unknown. */
export interface EngineRecord {
  readonly model: string;
  /** `NAME=value` in the environment of the engine and all its children, made for this one start. */
  readonly marker: string;
  readonly port: number;
  readonly command: readonly string[];
  /** Null until the process has been started. */
  readonly pid: number | null;
  readonly startTime: string | null;
  /** The command lines it was seen with: engines rewrite theirs while they start. */
  readonly commandLines: readonly string[];
  readonly executable: string;
  /** What ends it where signals do not reach, and where it listens; absent where they do. */
  readonly stop?: { readonly command: readonly string[]; readonly timeoutMs: number; readonly origin?: string };
}

/** A folder of records, one file a model. */
export class EngineRecords {
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#folder = join(stateDir, "engines");
  }

  /** Replaces the model's record as a whole: a crash leaves the old one or the new one. */
  write(record: EngineRecord): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#path(record.model);
    writeFileSync(`${path}.new`, JSON.stringify(record, null, 2), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  remove(model: string): void {
    rmSync(this.#path(model), { force: true });
  }

  /** Every record that can be read; a broken one is returned by its file name. */
  readAll(): { records: readonly EngineRecord[]; broken: readonly string[] } {
    const records: EngineRecord[] = [];
    const broken: string[] = [];
    for (const name of this.#list()) {
      const record = parse(join(this.#folder, name));
      if (record === null) broken.push(join(this.#folder, name));
      else records.push(record);
    }
    return { records, broken };
  }

  #list(): readonly string[] {
    try {
      return readdirSync(this.#folder).filter((name) => name.endsWith(".json"));
    } catch {
      return [];
    }
  }

  #path(model: string): string {
    return join(this.#folder, `${fileNameFor(model)}.json`);
  }
}

function parse(path: string): EngineRecord | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value !== "object" || value === null) return null;
    const { model, marker, pid } = value as Partial<EngineRecord>;
    if (typeof model !== "string" || typeof marker !== "string" || !marker.includes("=")) return null;
    return pid === undefined || !Array.isArray((value as Partial<EngineRecord>).commandLines)
      ? null
      : (value as EngineRecord);
  } catch {
    return null;
  }
}
