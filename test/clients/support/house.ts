/** One llmux for all tests of a file: it is started before the first and ended after the last, and nothing may be left. */
import { after, before } from "node:test";
import { setStage, type Setup, type Stage } from "../../e2e/support/stage.ts";
import { API_KEYS } from "./official-clients.ts";

/** Opens the house of this file, which asks for keys. The function gives its stage, while tests run. */
export function openHouse(setup: Setup): () => Stage {
  let stage: Stage | null = null;
  before(async () => {
    stage = await setStage(withKeys(setup));
    await stage.start();
  });
  after(async (context) => {
    if (stage === null) return;
    try {
      await stage.finish();
    } catch (error) {
      if ("diagnostic" in context) context.diagnostic(stage.story());
      throw error;
    } finally {
      await stage.dispose();
    }
  });
  return () => {
    if (stage === null) throw new Error("llmux was not started");
    return stage;
  };
}

/** The same configuration with API keys. */
export function withKeys(setup: Setup): Setup {
  return { ...setup, top: { api_keys: API_KEYS, ...setup.top } };
}
