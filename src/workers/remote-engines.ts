/** The engines as a worker sees them: connections of its own to each life of which the main thread tells. */
import type { ModelId } from "../core/model.ts";
import type { EnginesInSight } from "../gateway/lease-desk.ts";
import type { EngineConnection, EngineHealth } from "../ports/engine-directory.ts";
import type { LifeId, ToWorker } from "./messages.ts";

/** Makes connections to an engine, with these headers (names and values, flat) on each request. */
export type CreateConnections = (
  origin: string,
  headers: readonly string[],
) => EngineConnection["dispatcher"] & { destroy(): Promise<void> };

/** Asks the main thread how the engine of a model is in this life of it. */
export type AskHealth = (life: LifeId, model: ModelId) => Promise<EngineHealth>;

/** One per worker. */
export class RemoteEngines implements EnginesInSight {
  readonly #create: CreateConnections;
  readonly #askHealth: AskHealth;
  readonly #lives = new Map<ModelId, { readonly id: LifeId; readonly connection: EngineConnection; end(): void }>();

  constructor(create: CreateConnections, askHealth: AskHealth) {
    this.#create = create;
    this.#askHealth = askHealth;
  }

  connection(model: ModelId): EngineConnection | null {
    return this.#lives.get(model)?.connection ?? null;
  }

  /** How far a start has come is asked for when it is needed. */
  info(): { readonly progress: null } {
    return NOTHING;
  }

  /** To be told of lives, in the order of what is told of leases. */
  hear(message: Extract<ToWorker, { kind: "life begun" | "life ended" }>): void {
    const { life: id, model } = message;
    const known = this.#lives.get(model);
    if (message.kind === "life begun") {
      known?.end();
      const { origin, headers } = message;
      const dispatcher = this.#create(origin, headers);
      const health = (): Promise<EngineHealth> => this.#askHealth(id, model);
      const end = (): void => void dispatcher.destroy().catch(() => {});
      this.#lives.set(model, { id, connection: { origin, dispatcher, health }, end });
    } else if (known?.id === id) {
      this.#lives.delete(model);
      known.end();
    }
  }
}

const NOTHING = { progress: null };
