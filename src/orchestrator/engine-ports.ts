/** Gives engines their ports. An engine listens long after it was given one, so what is free then may be promised already. */
import type { ModelId } from "../core/model.ts";

/** Rejects when the port is taken; finds a free one for 0. */
export type ClaimPort = (host: string, port: number) => Promise<number>;

const TRIES_MAX = 50;

/** Remembers what was given to whom. */
export class EnginePorts {
  readonly #configured: ReadonlySet<number>;
  readonly #claimPort: ClaimPort;
  readonly #given = new Map<ModelId, number>();

  /** `configured`: the ports that the configuration gives to models, whether or not they run. */
  constructor(configured: readonly number[], claimPort: ClaimPort) {
    this.#configured = new Set(configured);
    this.#claimPort = claimPort;
  }

  /** Resolves with `port`, or with one that nobody has or will have for null. Rejects when it cannot be had. */
  async claim(model: ModelId, host: string, port: number | null): Promise<number> {
    if (port !== null) return this.#claimPort(host, port);
    this.#given.delete(model);
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const offered = await this.#claimPort(host, 0);
      if (this.#isPromised(offered)) continue;
      this.#given.set(model, offered);
      return offered;
    }
    throw new Error(`no free port was found in ${TRIES_MAX} tries`);
  }

  #isPromised(port: number): boolean {
    return this.#configured.has(port) || [...this.#given.values()].includes(port);
  }
}
