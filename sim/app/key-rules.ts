/** API keys: who may come in with which, and how much at once. */
import type { Config } from "../../src/config/config.ts";
import { hashOfKey } from "../../src/base/api-key.ts";
import { requestIdOf } from "./answers.ts";
import type { SimulatedClient } from "./clients.ts";
import type { Referee } from "./referee.ts";
import type { PlannedClient, SimulatedKey } from "./scenario.ts";

/** What a client shows that has the key of this name; there need not be one. */
export function secretOf(name: string): string {
  return `sk-llmux-${name}`;
}

/** The keys as the configuration has them. */
export function apiKeysOf(keys: readonly SimulatedKey[]): Config["apiKeys"] {
  return keys.map((key) => ({ ...key, hash: hashOfKey(secretOf(key.name)) }));
}

/** Of the bucket that limits a key's rate: it is full again after this, in ms. */
const MINUTE_MS = 60_000;

/** Until llmux has noticed that a request is over; one whose client does not read, or has left, may take longer, in ms. */
const OVER_MS = 5_000;

/** Of one life of llmux: the counts begin anew with each. */
export class KeyRules {
  readonly #keys: ReadonlyMap<string, SimulatedKey>;
  readonly #referee: Referee;
  /** All that came with each key. */
  readonly #asked = new Map<string, SimulatedClient[]>();

  constructor(keys: readonly SimulatedKey[], referee: Referee) {
    this.#keys = new Map(keys.map((key) => [key.name, key]));
    this.#referee = referee;
  }

  onAsked(client: SimulatedClient): void {
    const { key } = client.plan;
    if (key !== null) this.#asked.set(key, [...this.#of(key), client]);
  }

  /** Rule "a key opens what it is for, and no more": no engine gets a request of one who may not come in, or not as often. */
  onArrived(client: SimulatedClient): void {
    if (this.#keys.size === 0) return;
    const { plan } = client;
    const key = this.#keyOf(plan);
    this.#demand(key !== null, client, () => "reaches an engine without a key that is known");
    if (key === null) return;
    const mayUse = key.models === null || key.models.includes(plan.model);
    this.#demand(mayUse, client, () => `reaches ${plan.model}, for which its key is not`);
    const all = this.#of(key.name);
    const running = all.filter(({ onEngine }) => onEngine > 0).length;
    const most = key.inFlightMax ?? Infinity;
    this.#demand(running <= most, client, () => `is one of ${running} in progress, and its key may have ${most}`);
    // When a pipelined request was let in nobody can tell from outside: llmux looks at it after the answer to the one before.
    if (key.requestsPerMinute === null || client.arrivals > 1 || plan.isPipelined) return;
    const [atMs, max] = [client.askedAtMs ?? 0, 2 * key.requestsPerMinute];
    const taken = all.filter((other) => wasLetIn(other, atMs - MINUTE_MS, atMs)).length;
    this.#demand(taken <= max, client, () => `is one of ${taken} in a minute, and there can be ${max}`);
  }

  /** Whether this client is to be refused whatever it asks for. */
  staysOutside(plan: PlannedClient): boolean {
    return this.#keys.size > 0 && this.#keyOf(plan) === null;
  }

  /** Whether its key is not for the model. */
  mayNotUse(plan: PlannedClient): boolean {
    const models = this.#keyOf(plan)?.models ?? null;
    return models !== null && !models.includes(plan.model);
  }

  /** Whether the limits of its key can have been the reason to refuse this client. */
  couldBeTooMany(client: SimulatedClient, code: "too_many_in_flight" | "rate_limit_exceeded"): boolean {
    const key = this.#keyOf(client.plan);
    if (key === null) return false;
    const atMs = client.askedAtMs ?? 0;
    const others = this.#of(key.name).filter((other) => other !== client);
    if (code === "rate_limit_exceeded") {
      // It is refused as soon as it is looked at.
      const lookedAtMs = client.plan.isPipelined ? (client.endedAtMs ?? atMs) : atMs;
      const asked = others.filter((other) => couldBeLookedAt(other, lookedAtMs - MINUTE_MS, lookedAtMs)).length;
      return key.requestsPerMinute !== null && asked >= key.requestsPerMinute;
    }
    const open = others.filter(({ plan, end, endedAtMs }) => {
      const isCertain = plan.pause === null && end?.kind !== "left" && end?.kind !== "cut";
      return !isCertain || endedAtMs === null || endedAtMs >= atMs - OVER_MS;
    });
    return key.inFlightMax !== null && open.length >= key.inFlightMax;
  }

  #keyOf({ key }: PlannedClient): SimulatedKey | null {
    return key === null ? null : (this.#keys.get(key) ?? null);
  }

  #of(name: string): SimulatedClient[] {
    return this.#asked.get(name) ?? [];
  }

  #demand(condition: boolean, { plan }: SimulatedClient, message: () => string): void {
    const tell = (): string => `${requestIdOf(plan)} ${message()}`;
    this.#referee.demand(condition, "a key opens what it is for, and no more", tell);
  }
}

/** Whether that is certain: a pipelined request was let in some time before an engine got it. */
function wasLetIn({ plan, askedAtMs, arrivedAtMs }: SimulatedClient, fromMs: number, toMs: number): boolean {
  if (arrivedAtMs === null) return false;
  return isWithin(askedAtMs, fromMs, toMs) && (!plan.isPipelined || arrivedAtMs <= toMs);
}

/** A pipelined request is looked at some time before its end. */
function couldBeLookedAt({ plan, askedAtMs, endedAtMs }: SimulatedClient, fromMs: number, toMs: number): boolean {
  if (!plan.isPipelined) return isWithin(askedAtMs, fromMs, toMs);
  return askedAtMs !== null && askedAtMs <= toMs && (endedAtMs ?? Infinity) >= fromMs;
}

function isWithin(askedAtMs: number | null, fromMs: number, toMs: number): boolean {
  return askedAtMs !== null && askedAtMs >= fromMs && askedAtMs <= toMs;
}
