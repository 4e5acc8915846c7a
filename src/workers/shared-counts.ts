/**
 * Counts that the gateways of all workers keep together, in shared memory: whoever has to know whether one more may come in knows at
 * once. Each worker also keeps its own share of every count, so that what one leaves behind when it dies can be taken off.
 */
import type { Count } from "../gateway/commons.ts";
import type { KeyAllowance, KeyCounts } from "../gateway/key-counts.ts";

/** The memory; can be sent to another thread. */
export interface SharedMemory {
  readonly workers: number;
  /** For each count, the sum and then the share of each worker. */
  readonly counts: SharedArrayBuffer;
  /** For each key, when the bucket of its requests is full again, in ns. */
  readonly buckets: SharedArrayBuffer;
  /** For each worker, 1 when it has broken all its connections because it was told to. */
  readonly destroyed: SharedArrayBuffer;
}

/** For the connections and the requests in progress of so many keys. All counts are 0. */
export function createSharedMemory(workers: number, keys: number): SharedMemory {
  return {
    workers,
    counts: new SharedArrayBuffer(4 * (1 + keys) * (1 + workers)),
    buckets: new SharedArrayBuffer(8 * Math.max(1, keys)),
    destroyed: new SharedArrayBuffer(4 * workers),
  };
}

/** The connections, as the worker of this number counts them, from 0. */
export function sharedConnections(memory: SharedMemory, worker: number): Count {
  return new SharedCount(memory, 0, worker);
}

/** The counts of the key of this number, from 0. `nowMs` must be the same clock for all workers. */
export function sharedKeyCounts(
  memory: SharedMemory,
  worker: number,
  key: { readonly index: number; readonly allowance: KeyAllowance },
  nowMs: () => number,
): KeyCounts {
  const { requestsPerMinute, inFlightMax } = key.allowance;
  const count = new SharedCount(memory, 1 + key.index, worker);
  const bucket = requestsPerMinute === null ? null : new SharedBucket(memory, key.index, requestsPerMinute);
  return {
    begin: () => count.addBelow(inFlightMax ?? Infinity),
    end: () => count.remove(),
    take: () => bucket?.take(nowMs()) ?? 0,
  };
}

/** Takes off all counts what a worker has added and not removed. It must have ended. */
export function forgetWorker({ workers, counts }: SharedMemory, worker: number): void {
  const cells = new Int32Array(counts);
  for (let sum = 0; sum < cells.length; sum += 1 + workers) {
    Atomics.sub(cells, sum, Atomics.exchange(cells, sum + 1 + worker, 0));
  }
}

/** A worker says that it has broken its connections. */
export function sayDestroyed({ destroyed }: SharedMemory, worker: number): void {
  const cells = new Int32Array(destroyed);
  Atomics.store(cells, worker, 1);
  Atomics.notify(cells, worker);
}

/** Blocks this thread until the worker has said so, or the time is over. */
export function waitUntilDestroyed({ destroyed }: SharedMemory, worker: number, timeoutMs: number): void {
  Atomics.wait(new Int32Array(destroyed), worker, 0, timeoutMs);
}

class SharedCount implements Count {
  readonly #cells: Int32Array;
  readonly #sum: number;
  readonly #own: number;

  constructor({ workers, counts }: SharedMemory, index: number, worker: number) {
    this.#cells = new Int32Array(counts);
    this.#sum = index * (1 + workers);
    this.#own = this.#sum + 1 + worker;
  }

  get value(): number {
    return Atomics.load(this.#cells, this.#sum);
  }

  add(): void {
    Atomics.add(this.#cells, this.#sum, 1);
    Atomics.add(this.#cells, this.#own, 1);
  }

  /** Returns false, and adds nothing, where there are `max` already. */
  addBelow(max: number): boolean {
    for (let found = this.value; found < max;) {
      const before = Atomics.compareExchange(this.#cells, this.#sum, found, found + 1);
      if (before === found) {
        Atomics.add(this.#cells, this.#own, 1);
        return true;
      }
      found = before;
    }
    return false;
  }

  remove(): void {
    Atomics.sub(this.#cells, this.#own, 1);
    Atomics.sub(this.#cells, this.#sum, 1);
  }
}

const NS_PER_MS = 1_000_000;

/** A bucket that fills evenly in a minute, as `TokenBucket` is, in one number: the time at which it will be full. */
class SharedBucket {
  readonly #cells: BigInt64Array;
  readonly #index: number;
  readonly #nsPerToken: bigint;
  readonly #fillNs: bigint;

  constructor({ buckets }: SharedMemory, index: number, capacity: number) {
    this.#cells = new BigInt64Array(buckets);
    this.#index = index;
    this.#nsPerToken = BigInt(Math.max(1, Math.round((60_000 * NS_PER_MS) / capacity)));
    this.#fillNs = this.#nsPerToken * BigInt(capacity);
  }

  /** As `TokenBucket.take`. */
  take(nowMs: number): number {
    const nowNs = BigInt(Math.round(nowMs * NS_PER_MS));
    for (let fullAt = Atomics.load(this.#cells, this.#index); ;) {
      const next = (fullAt > nowNs ? fullAt : nowNs) + this.#nsPerToken;
      const lackingNs = next - nowNs - this.#fillNs;
      if (lackingNs > 0n) return Number(lackingNs) / NS_PER_MS;
      const before = Atomics.compareExchange(this.#cells, this.#index, fullAt, next);
      if (before === fullAt) return 0;
      fullAt = before;
    }
  }
}
