/** One request after another, each of which must be served. */
import assert from "node:assert/strict";
import type { Stage } from "./stage.ts";

/** Asks the models in this order, each when the one before has answered. Rejects when an answer is not 200. */
export async function serves(stage: Stage, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const reply = await stage.client.ask(name);
    assert.equal(reply.status, 200, `${name}: ${reply.error?.message}`);
  }
}
