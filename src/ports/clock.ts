/** Time as a port: the product, the tests and the simulation each bring their own. */

/** A running timer. */
export interface TimerHandle {
  /** Does nothing if it fired or was cancelled before. */
  cancel(): void;
}

/** A clock and its timers. */
export interface Clock {
  /** Monotonic time in ms, with fractions. */
  nowMs(): number;
  /** Wall-clock time in ms since 1970, for people and for files. */
  epochMs(): number;
  /** Calls `fire` once, `delayMs` from now or a little later; never before this returns. */
  after(delayMs: number, fire: () => void): TimerHandle;
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
export function delay(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
