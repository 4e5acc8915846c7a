/** Which connections belong to which life of an engine, so that workers can make connections of their own to it. */
import type { ModelId } from "../core/model.ts";
import type { EngineDirectory, EngineHealth } from "../ports/engine-directory.ts";
import type { LifeId, ToWorker } from "./messages.ts";

/** Connections to one engine; they end with it. */
interface Connections {
  destroy(): Promise<void>;
}

interface Life {
  readonly id: LifeId;
  readonly origin: string;
  readonly headers: readonly string[];
  /** Those who have been told of it, each with what to tell it at the end. */
  readonly known: Map<LifeListener, ModelId>;
}

/** A worker, who hears of lives. */
export interface LifeListener {
  say(message: ToWorker): void;
}

/** Of all engines. */
export class EngineLives {
  readonly #lives = new WeakMap<object, Life>();
  #lastId: LifeId = 0;

  /** Returns the same connections, whose end is now noticed: it is told before they are destroyed. */
  follow<Kind extends Connections>(connections: Kind, origin: string, headers: readonly string[]): Kind {
    this.#lastId += 1;
    const life: Life = { id: this.#lastId, origin, headers, known: new Map() };
    this.#lives.set(connections, life);
    const destroy = connections.destroy.bind(connections);
    // They may call it themselves, and with more than we know of.
    connections.destroy = (...given: []) => {
      this.#lives.delete(connections);
      for (const [listener, model] of life.known) listener.say({ kind: "life ended", life: life.id, model });
      life.known.clear();
      return destroy(...given);
    };
    return connections;
  }

  /** Asks an engine how it is; one whose life is over is not well. Never rejects. */
  async healthIn(life: LifeId, model: ModelId, directory: EngineDirectory): Promise<EngineHealth> {
    const connection = directory.connection(model);
    if (connection === null || this.#lives.get(connection.dispatcher)?.id !== life) return "unwell";
    return connection.health();
  }

  /** Tells of the life that a model's engine has now, unless that was told already or it has none. */
  tell(listener: LifeListener, model: ModelId, directory: EngineDirectory): void {
    const connection = directory.connection(model);
    const life = connection === null ? undefined : this.#lives.get(connection.dispatcher);
    if (life === undefined || life.known.has(listener)) return;
    life.known.set(listener, model);
    const { id, origin, headers } = life;
    listener.say({ kind: "life begun", life: id, model, origin, headers });
  }
}
