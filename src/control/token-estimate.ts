/** How many tokens a request had where nobody says: as many as others of its model, by their size. */
import type { AccessRecord } from "../ports/access-record.ts";

/** Believed of a prompt until one of the model has been counted: English text as common tokenizers cut it. */
const BYTES_A_TOKEN = 4;

/** Believed of an answer until one of the model has been counted. */
const ANSWER_TOKENS = 256;

interface Known {
  promptTokens: number;
  /** Of the bodies in which those were. */
  promptBytes: number;
  answerTokens: number;
  answers: number;
}

/** Prompt and answer of one request, in tokens. */
export interface TokenCounts {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** Learns from each request that it is asked about. */
export class TokenEstimate {
  readonly #models = new Map<string, Known>();

  /** What is known of the request, and for the rest an estimate; whole numbers ≥ 0. */
  countsOf(model: string, { promptTokens, outputTokens, bytesIn, outcome }: AccessRecord): TokenCounts {
    let known = this.#models.get(model);
    if (known === undefined) {
      known = { promptTokens: 0, promptBytes: 0, answerTokens: 0, answers: 0 };
      this.#models.set(model, known);
    }
    if (promptTokens !== null) {
      known.promptTokens += promptTokens;
      known.promptBytes += bytesIn;
    }
    if (outcome === "served" && outputTokens !== null) {
      known.answerTokens += outputTokens;
      known.answers += 1;
    }
    return {
      promptTokens: promptTokens ?? Math.ceil(bytesIn / bytesAToken(known)),
      // One that was served and has no tokens is no text, but an embedding or the like.
      outputTokens: outputTokens ?? (outcome === "served" ? 0 : Math.round(answerTokens(known))),
    };
  }
}

function bytesAToken({ promptTokens, promptBytes }: Known): number {
  return promptTokens === 0 || promptBytes === 0 ? BYTES_A_TOKEN : promptBytes / promptTokens;
}

function answerTokens(known: Known): number {
  return known.answers === 0 ? ANSWER_TOKENS : known.answerTokens / known.answers;
}
