/** The official Python clients, with a key, through the real program to stand-in engines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withKeys } from "../clients/support/house.ts";
import { chatBody, KEY, KEY_FOR_A, openaiOf } from "../clients/support/official-clients.ts";
import { setStage, type Setup, type Stage } from "../e2e/support/stage.ts";
import { runPython } from "./support/python.ts";

const SCRIPTED_ENGINE = fileURLToPath(new URL("../clients/support/scripted-engine.ts", import.meta.url));

/** Runs a file of tests in Python against a gateway of its own. */
function pythonTest(
  name: string,
  file: string,
  setup: Setup,
  prepare: (stage: Stage) => Promise<Readonly<Record<string, string>>>,
): void {
  test(name, async (context) => {
    const stage = await setStage(withKeys(setup));
    try {
      await stage.start();
      const variables = await prepare(stage);
      const origin = `http://127.0.0.1:${stage.port}`;
      await runPython(context, file, {
        LLMUX_ORIGIN: origin,
        LLMUX_KEY: KEY,
        LLMUX_KEY_FOR_A: KEY_FOR_A,
        ...variables,
      });
      await stage.finish();
    } catch (error) {
      context.diagnostic(stage.story());
      throw error;
    } finally {
      await stage.dispose();
    }
  });
}

pythonTest(
  "the Python clients get answers from models that take turns, leave, time out and know errors by their class",
  "stand_in_engines.py",
  { models: { a: {}, b: {}, slow: { mock: { itl_ms: 20 } } }, top: { max_body_bytes: "1MiB" } },
  async (stage) => {
    const chat = await openaiOf(stage.port).chat.completions.create(chatBody("slow", 1));
    assert.equal(chat.usage?.completion_tokens, 1);
    return { LLMUX_SLOW_ENGINE: (await stage.engine("slow")).origin };
  },
);

pythonTest(
  "the Python clients call tools, try again as they are told, and see no broken connection that llmux can mend",
  "scripted_engine.py",
  { models: { a: {} }, top: { vllm_command: [process.execPath, SCRIPTED_ENGINE] } },
  () => Promise.resolve({}),
);
