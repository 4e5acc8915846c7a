/** Who may come in: API keys, the models that each may use, and how much at once. */
import { KeyLookup } from "../base/api-key.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { Clock } from "../ports/clock.ts";
import { OwnKeyCounts, type KeyCounts } from "./key-counts.ts";
import { Models, type GatewayModel } from "./models.ts";

/** A configured key. */
export interface ApiKey {
  /** For the log; clients do not see it. */
  readonly name: string;
  /** As `hashOfKey` makes it. */
  readonly hash: string;
  /** The models that it may use; null: all. */
  readonly models: readonly ModelId[] | null;
  /** How many requests it may make a minute, ≥ 1; null: any number. */
  readonly requestsPerMinute: number | null;
  /** How many of its requests may be in progress, those that wait for their model included, ≥ 1; null: any number. */
  readonly inFlightMax: number | null;
  /** What its requests weigh at most, and if they do not say; null: what they say, or the model. */
  readonly priority: Priority | null;
}

/** What a request shows of who it is from. Either may be wrong where both are there: clients send both, with one of them set. */
export interface Credentials {
  /** From `Authorization: Bearer`. */
  readonly bearer: string | null;
  /** From `x-api-key`. */
  readonly apiKey: string | null;
}

/** Whoever has come in. */
export interface Guest {
  /** The name of the key; null where none is asked for. */
  readonly name: string | null;
  /** Those that the guest may use. */
  readonly models: Models;
  /** What a request weighs that asks for `wanted`, or for nothing; undefined: what the model says. */
  weigh(wanted: Priority | undefined): Priority | undefined;
  /** Counts a request. Null, and then `leave` must follow once; or why it is refused, and then nothing was counted. */
  enter(): Failure | null;
  /** A request that was let in is over. */
  leave(): void;
}

/** Whom to let in, and to what. */
export interface DoorkeeperOptions {
  readonly keys: readonly ApiKey[];
  /** The hash of the operators' key; null: there is none. */
  readonly adminKeyHash: string | null;
  readonly models: readonly GatewayModel[];
  readonly clock: Clock;
  /** Where the requests of a key are counted; kept by the doorkeeper itself unless given. */
  readonly countsOf?: (key: ApiKey) => KeyCounts;
}

/** Without keys, everybody comes in and may do everything. */
export class Doorkeeper {
  readonly #guests: KeyLookup<Guest> | null;
  readonly #anybody: Guest;
  readonly #operators: KeyLookup<true>;

  constructor(options: DoorkeeperOptions) {
    const { keys, models, clock, adminKeyHash, countsOf = (key) => new OwnKeyCounts(key, clock) } = options;
    this.#operators = new KeyLookup(adminKeyHash === null ? [] : [[adminKeyHash, true]]);
    this.#anybody = {
      name: null,
      models: new Models(models),
      weigh: (wanted) => wanted,
      enter: () => null,
      leave() {},
    };
    this.#guests =
      keys.length === 0
        ? null
        : new KeyLookup(keys.map((key) => [key.hash, new KeyHolder(key, models, countsOf(key))]));
  }

  /** Null for whoever has to stay outside. */
  letIn({ bearer, apiKey }: Credentials): Guest | null {
    if (this.#guests === null) return this.#anybody;
    return (bearer === null ? null : this.#guests.find(bearer)) ?? (apiKey === null ? null : this.#guests.find(apiKey));
  }

  /** Whether it is the operators' key; never, where there is none. */
  isOperator({ bearer, apiKey }: Credentials): boolean {
    const knows = (key: string | null): boolean => key !== null && this.#operators.find(key) === true;
    return knows(bearer) || knows(apiKey);
  }

  /** What to tell whoever has to stay outside. Nothing of what he has shown is repeated. */
  refusal({ bearer, apiKey }: Credentials): Failure {
    const how = "Send a key as `Authorization: Bearer KEY` or as `x-api-key: KEY`.";
    const what =
      bearer === null && apiKey === null ? `There is no API key in this request. ${how}` : "This API key is not valid.";
    return failure("invalid_api_key", what);
  }
}

/** What to tell a guest who asks for a model that there is, but not for him. */
export function notAllowed(model: ModelId): Failure {
  return failure("model_not_allowed", `This API key may not use the model \`${model}\`.`);
}

const WEIGHT: Readonly<Record<Priority, number>> = { low: 0, normal: 1, high: 2 };

/** One key and what is going on under it. */
class KeyHolder implements Guest {
  readonly name: string;
  readonly models: Models;
  readonly #key: ApiKey;
  readonly #counts: KeyCounts;
  readonly #priority: Priority | null;

  constructor(key: ApiKey, models: readonly GatewayModel[], counts: KeyCounts) {
    this.name = key.name;
    this.models = new Models(key.models === null ? models : models.filter(({ id }) => key.models?.includes(id)));
    this.#key = key;
    this.#counts = counts;
    this.#priority = key.priority;
  }

  weigh(wanted: Priority | undefined): Priority | undefined {
    if (this.#priority === null) return wanted;
    return wanted === undefined || WEIGHT[wanted] > WEIGHT[this.#priority] ? this.#priority : wanted;
  }

  enter(): Failure | null {
    if (!this.#counts.begin()) {
      const message = `This API key may have ${this.#key.inFlightMax} requests in progress, and has them.`;
      return failure("too_many_in_flight", message);
    }
    const retryAfterMs = this.#counts.take();
    if (retryAfterMs === 0) return null;
    this.#counts.end();
    const message = `This API key may make ${this.#key.requestsPerMinute} requests a minute, and has made them.`;
    return failure("rate_limit_exceeded", message, { retryAfterMs });
  }

  leave(): void {
    this.#counts.end();
  }
}
