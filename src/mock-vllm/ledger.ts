/**
 * The ledger of the pretend machine: who holds how much of which GPU, and of host memory, shared by all stand-ins.
 *
 * It is a small SQLite file. Its locks belong to the kernel and end with their holder, and an interrupted write is rolled
 * back by whoever opens the file next, so a stand-in may be killed at any moment. What a dead process held is free at once:
 * every access first drops the entries of processes that are gone.
 */
import { mkdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { assert } from "../base/assert.ts";
import { defaultGpus, formatGpus, parseGpus } from "./gpus.ts";
import type { Gpu } from "./gpus.ts";
import type { AuditLine, Device, LedgerSnapshot } from "./ledger-entries.ts";
import { isAlive } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { formatBytes } from "./quantity.ts";
import { UsageError } from "./usage-error.ts";

export type { LedgerSnapshot };

/** The answer to a wish: granted, or the first device where it did not fit. */
export type HoldResult =
  | { readonly granted: true }
  | { readonly granted: false; readonly device: Device; readonly wantedBytes: number; readonly freeBytes: number };

/** How long to wait for the file's lock before giving up, in ms; a transaction takes well under one. */
const lockTimeoutMs = 10_000;
const auditLinesMax = 100_000;
const hostIndex = -1;

const schema = `
  CREATE TABLE IF NOT EXISTS device (device INTEGER PRIMARY KEY, total REAL NOT NULL, high_water INTEGER NOT NULL DEFAULT 0,
    refusals INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE IF NOT EXISTS holding (pid INTEGER, start TEXT, device INTEGER, bytes INTEGER NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (pid, start, device));
  CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms REAL, pid INTEGER, device INTEGER, event TEXT,
    before INTEGER, after INTEGER, used INTEGER);`;

/** Where the ledger is when nothing else is said: one directory per user under the system's temporary directory. */
export function defaultLedgerDir(): string {
  return path.join(os.tmpdir(), `mock-vllm-${process.getuid?.() ?? os.userInfo().username}`);
}

/** The shared ledger. Whoever opens it closes it. */
export class Ledger implements Disposable {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Opens the ledger of `dir`, making it if needed. `gpus` and `hostMemoryBytes` are remembered for all that come later; they
   * can be changed only while nobody holds anything, else a `UsageError` says so.
   */
  static open(dir: string, machine: { gpus?: string | undefined; hostMemoryBytes?: number | undefined } = {}): Ledger {
    const wanted = machine.gpus === undefined ? undefined : parseGpus(machine.gpus);
    mkdirSync(dir, { recursive: true });
    const db = new DatabaseSync(path.join(dir, "ledger.sqlite"), { timeout: lockTimeoutMs });
    // Without fsync: a crash of the machine ends all holders anyway, and a transaction stays well under a millisecond.
    db.exec("PRAGMA journal_mode = PERSIST; PRAGMA synchronous = OFF");
    const ledger = new Ledger(db);
    ledger.#transaction(() => {
      db.exec(schema);
      ledger.#configure(wanted, machine.hostMemoryBytes);
    });
    return ledger;
  }

  /** The machine's GPUs. */
  gpus(): readonly Gpu[] {
    return this.#rows("SELECT device, total FROM device WHERE device >= 0 ORDER BY device").map((row) => ({
      index: Number(row["device"]),
      totalBytes: Number(row["total"]),
    }));
  }

  /**
   * Sets how much `owner` holds on each of the given devices, all or nothing: if one amount grows beyond what is free there,
   * nothing changes, the refusal is recorded, and the answer says where and by how much.
   */
  hold(owner: ProcessIdentity, name: string, wishes: ReadonlyMap<Device, number>): HoldResult {
    return this.#transaction((): HoldResult => {
      for (const [device, wantedBytes] of wishes) {
        const { freeBytes, beforeBytes } = this.#standing(owner, device);
        if (wantedBytes <= beforeBytes || wantedBytes - beforeBytes <= freeBytes) continue;
        this.#run("UPDATE device SET refusals = refusals + 1 WHERE device = ?", indexOf(device));
        this.#audit(owner.pid, device, "refused", beforeBytes, wantedBytes);
        return { granted: false, device, wantedBytes: wantedBytes - beforeBytes, freeBytes };
      }
      for (const [device, wantedBytes] of wishes) this.#set(owner, name, device, wantedBytes);
      return { granted: true };
    });
  }

  /** How much of a device nobody holds, in bytes. */
  freeBytes(device: Device): number {
    const state = this.snapshot().devices.find((one) => one.device === device);
    assert(state !== undefined, `the ledger has no device ${device}`);
    return state.totalBytes - state.usedBytes;
  }

  /** Everything, as of now. */
  snapshot(): LedgerSnapshot {
    return this.#transaction(() => {
      const holdings = this.#rows("SELECT * FROM holding WHERE bytes > 0 ORDER BY device, pid").map((row) => ({
        pid: Number(row["pid"]),
        startTicks: String(row["start"]),
        device: deviceOf(Number(row["device"])),
        bytes: Number(row["bytes"]),
        name: String(row["name"]),
      }));
      const devices = this.#rows("SELECT * FROM device ORDER BY device < 0, device").map((row) => ({
        device: deviceOf(Number(row["device"])),
        totalBytes: Number(row["total"]),
        usedBytes: this.#usedBytes(deviceOf(Number(row["device"]))),
        highWaterBytes: Number(row["high_water"]),
        refusals: Number(row["refusals"]),
      }));
      return { devices, holdings };
    });
  }

  /** The changes since the last reset, oldest first; at most the last 100,000. */
  audit(): readonly AuditLine[] {
    return this.#rows("SELECT * FROM audit ORDER BY id").map((row) => ({
      atMs: Number(row["at_ms"]),
      pid: Number(row["pid"]),
      device: deviceOf(Number(row["device"])),
      event: String(row["event"]) as AuditLine["event"],
      beforeBytes: Number(row["before"]),
      afterBytes: Number(row["after"]),
      usedBytes: Number(row["used"]),
    }));
  }

  /** Forgets high-water marks, refusals and the audit, and, when nobody holds anything, the machine's GPUs too. */
  reset(): void {
    this.#transaction(() => {
      this.#db.exec("DELETE FROM audit; UPDATE device SET refusals = 0, high_water = 0");
      if (this.#rows("SELECT 1 FROM holding LIMIT 1").length === 0) {
        this.#db.exec("DELETE FROM device");
        this.#configure(undefined, undefined);
      }
      this.#db.exec(
        "UPDATE device SET high_water = (SELECT coalesce(sum(bytes), 0) FROM holding WHERE holding.device = device.device)",
      );
    });
  }

  /** Runs `action` while no other process can touch the ledger; used for small shared files that need the same lock. */
  exclusively<T>(action: () => T): T {
    return this.#transaction(action);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  #transaction<T>(action: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      this.#dropTheDead();
      const result = action();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #dropTheDead(): void {
    if (this.#rows("SELECT 1 FROM sqlite_master WHERE name = 'holding'").length === 0) return;
    for (const row of this.#rows("SELECT DISTINCT pid, start FROM holding")) {
      const owner = { pid: Number(row["pid"]), startTicks: String(row["start"]) };
      if (isAlive(owner)) continue;
      const held = this.#rows(
        "SELECT device, bytes FROM holding WHERE pid = ? AND start = ?",
        owner.pid,
        owner.startTicks,
      );
      this.#run("DELETE FROM holding WHERE pid = ? AND start = ?", owner.pid, owner.startTicks);
      for (const one of held) {
        this.#audit(owner.pid, deviceOf(Number(one["device"])), "process gone", Number(one["bytes"]), 0);
      }
    }
  }

  #configure(gpus: readonly Gpu[] | undefined, hostMemoryBytes: number | undefined): void {
    const known = this.gpus();
    const wanted = gpus ?? (known.length === 0 ? defaultGpus : known);
    if (formatGpus(wanted) !== formatGpus(known)) {
      if (this.#rows("SELECT 1 FROM holding WHERE device >= 0 LIMIT 1").length > 0) {
        throw new UsageError(
          `MOCK_VLLM_GPUS: expected the machine's GPUs (${formatGpus(known)}) while stand-ins hold memory on them, ` +
            `found ${formatGpus(wanted)}; stop them, or use another ledger (MOCK_VLLM_LEDGER)`,
        );
      }
      this.#db.exec("DELETE FROM device WHERE device >= 0");
      for (const gpu of wanted)
        this.#run("INSERT INTO device (device, total) VALUES (?, ?)", gpu.index, gpu.totalBytes);
    }
    this.#run("INSERT OR IGNORE INTO device (device, total) VALUES (?, ?)", hostIndex, Infinity);
    if (hostMemoryBytes === undefined) return;
    const usedBytes = this.#usedBytes("host");
    if (hostMemoryBytes < usedBytes) {
      throw new UsageError(
        `MOCK_VLLM_HOST_MEMORY: expected at least the ${formatBytes(usedBytes)} in use, found ${formatBytes(hostMemoryBytes)}`,
      );
    }
    this.#run("UPDATE device SET total = ? WHERE device = ?", hostMemoryBytes, hostIndex);
  }

  #standing(owner: ProcessIdentity, device: Device): { freeBytes: number; beforeBytes: number } {
    const [row] = this.#rows("SELECT total FROM device WHERE device = ?", indexOf(device));
    assert(row !== undefined, `the ledger has no device ${device}`);
    const [held] = this.#rows(
      "SELECT bytes FROM holding WHERE pid = ? AND start = ? AND device = ?",
      owner.pid,
      owner.startTicks,
      indexOf(device),
    );
    return { freeBytes: Number(row["total"]) - this.#usedBytes(device), beforeBytes: Number(held?.["bytes"] ?? 0) };
  }

  #set(owner: ProcessIdentity, name: string, device: Device, bytes: number): void {
    const { beforeBytes } = this.#standing(owner, device);
    this.#run(
      "INSERT OR REPLACE INTO holding (pid, start, device, bytes, name) VALUES (?, ?, ?, ?, ?)",
      owner.pid,
      owner.startTicks,
      indexOf(device),
      bytes,
      name,
    );
    const usedBytes = this.#usedBytes(device);
    this.#run("UPDATE device SET high_water = max(high_water, ?) WHERE device = ?", usedBytes, indexOf(device));
    const [row] = this.#rows("SELECT total FROM device WHERE device = ?", indexOf(device));
    assert(bytes <= beforeBytes || usedBytes <= Number(row?.["total"]), `device ${device} is over-committed`);
    this.#audit(owner.pid, device, "held", beforeBytes, bytes);
  }

  #usedBytes(device: Device): number {
    const [row] = this.#rows("SELECT coalesce(sum(bytes), 0) AS used FROM holding WHERE device = ?", indexOf(device));
    return Number(row?.["used"] ?? 0);
  }

  #audit(pid: number, device: Device, event: AuditLine["event"], beforeBytes: number, afterBytes: number): void {
    this.#run(
      "INSERT INTO audit (at_ms, pid, device, event, before, after, used) VALUES (?, ?, ?, ?, ?, ?, ?)",
      performance.timeOrigin + performance.now(),
      pid,
      indexOf(device),
      event,
      beforeBytes,
      afterBytes,
      this.#usedBytes(device),
    );
    this.#run("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", auditLinesMax);
  }

  #rows(sql: string, ...values: (string | number)[]): Record<string, unknown>[] {
    return this.#statement(sql).all(...values);
  }

  #run(sql: string, ...values: (string | number)[]): void {
    this.#statement(sql).run(...values);
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#db.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }
}

function indexOf(device: Device): number {
  return device === "host" ? hostIndex : device;
}

function deviceOf(index: number): Device {
  return index === hostIndex ? "host" : index;
}
