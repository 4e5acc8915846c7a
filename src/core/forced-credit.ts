/** How much time switches that a policy forces may still spend: a budget for each device that fills with time. */
import type { DeviceId } from "./model.ts";

/** How fast the budget fills, and how far. */
export interface ForcedCreditOptions {
  /** Share of all time that forced switches may spend; 0 to 1. */
  readonly share: number;
  /** More than this is not saved up, in ms. */
  readonly capMs: number;
}

interface Account {
  creditMs: number;
  atMs: number;
}

/** Begins full, so that the first requests after a start need not wait for it. */
export class ForcedCredit {
  readonly #options: ForcedCreditOptions;
  readonly #accounts = new Map<DeviceId, Account>();

  constructor(options: ForcedCreditOptions) {
    this.#options = options;
  }

  /** What a switch on these devices may spend now, in ms: the least that any of them has. */
  available(devices: readonly DeviceId[], nowMs: number): number {
    return Math.min(...devices.map((device) => this.#account(device, nowMs).creditMs));
  }

  /** Each of the devices pays. */
  spend(devices: readonly DeviceId[], costMs: number, nowMs: number): void {
    for (const device of devices) this.#account(device, nowMs).creditMs -= costMs;
  }

  #account(device: DeviceId, nowMs: number): Account {
    const { share, capMs } = this.#options;
    let account = this.#accounts.get(device);
    if (account === undefined) {
      account = { creditMs: capMs, atMs: nowMs };
      this.#accounts.set(device, account);
    }
    account.creditMs = Math.min(capMs, account.creditMs + share * (nowMs - account.atMs));
    account.atMs = nowMs;
    return account;
  }
}
