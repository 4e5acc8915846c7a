/**
 * Tells a 500 that is an answer from one that is a last word. vLLM's API server outlives its engine for a moment, in which
 * it answers 500 to all that was running; the same requests would be served by the next life of the engine.
 */
import type { EngineConnection } from "../ports/engine-directory.ts";

/** The status that may be a last word. */
export const LAST_WORD_STATUS = 500;

/** A longer answer is no last word. It is held back until we know, so it must not be large. */
export const LAST_WORD_BYTES_MAX = 16 * 1024;

/** Asks the engine how it is: one that says 500 and then nothing is not known to be dying. Never rejects. */
export async function isDying({ health }: EngineConnection): Promise<boolean> {
  return (await health()) === "unwell";
}
