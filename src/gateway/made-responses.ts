/** Which model made which response: the Responses API asks for one again by its id alone, and only its engine knows it. */
import type { ModelId } from "../core/model.ts";

/** More are not remembered; an engine itself forgets its own sooner. Each takes about 200 bytes. */
const REMEMBERED_MAX = 10_000;

/** Who hears of those that other gateways pass on to their clients. */
export interface FurtherMemory {
  /** One has been made, and its client is about to hear of it. */
  tell(id: string, model: ModelId): void;
  /** Asks for one. `found` is called once, later; null: nobody knows it. */
  ask(id: string, found: (model: ModelId | null) => void): void;
}

/** The last ones that were made. */
export class MadeResponses {
  /** Null where there is no other gateway. */
  readonly further: FurtherMemory | null;
  readonly #models = new Map<string, ModelId>();

  constructor(further: FurtherMemory | null = null) {
    this.further = further;
  }

  /** Null for one that was never made, or long ago, or before llmux was started; or that another gateway knows of. */
  find(id: string): ModelId | null {
    return this.#models.get(id) ?? null;
  }

  /** An engine has just made it. */
  remember(id: string, model: ModelId): void {
    this.keep(id, model);
    this.further?.tell(id, model);
  }

  /** It is known from elsewhere. */
  keep(id: string, model: ModelId): void {
    this.#models.delete(id);
    this.#models.set(id, model);
    if (this.#models.size <= REMEMBERED_MAX) return;
    const [oldest] = this.#models.keys();
    if (oldest !== undefined) this.#models.delete(oldest);
  }
}

/** The id stands first in a response, and the response in the first event of a stream. */
const HEAD_BYTES_MAX = 4_096;

const ID = /"id"\s*:\s*"([A-Za-z0-9_-]{1,200})"/;

/** Looks for the id at the beginning of one answer, which may be cut anywhere. */
export class ResponseIdSearch {
  #head = "";
  #isOver = false;

  /** To be called with each chunk. Returns the id once, when it has come. */
  push(chunk: Buffer): string | null {
    if (this.#isOver) return null;
    this.#head += chunk.subarray(0, HEAD_BYTES_MAX).toString("latin1");
    const id = ID.exec(this.#head)?.[1] ?? null;
    this.#isOver = id !== null || this.#head.length >= HEAD_BYTES_MAX;
    if (this.#isOver) this.#head = "";
    return id;
  }
}
