/** Which model made which response: the Responses API asks for one again by its id alone, and only its engine knows it. */
import type { ModelId } from "../core/model.ts";

/** More are not remembered; an engine itself forgets its own sooner. Each takes about 200 bytes. */
const REMEMBERED_MAX = 10_000;

/** The last ones that were made. */
export class MadeResponses {
  readonly #models = new Map<string, ModelId>();

  /** Null for one that was never made, or long ago, or before llmux was started. */
  find(id: string): ModelId | null {
    return this.#models.get(id) ?? null;
  }

  remember(id: string, model: ModelId): void {
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
