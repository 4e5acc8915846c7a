/** A test with the real program: it is started before, ended after, and whatever happened, nothing may be left. */
import { test } from "node:test";
import { setStage, type Setup, type Stage } from "./stage.ts";

/** A test that takes longer tells its story, since it probably waited for a time limit that it should not have needed. */
const SLOW_MS = 10_000;

/** The body finds llmux running, unless `start` is false. It may end it itself; else it is ended with SIGTERM. */
export function scenario(
  name: string,
  setup: Setup & { readonly start?: boolean },
  body: (stage: Stage) => Promise<void>,
): void {
  test(name, async (context) => {
    const beganAtMs = performance.now();
    const stage = await setStage(setup);
    try {
      if (setup.start !== false) await stage.start();
      await body(stage);
      await stage.finish();
      if (performance.now() > beganAtMs + SLOW_MS) context.diagnostic(`slow\n${stage.story()}`);
    } catch (error) {
      context.diagnostic(stage.story());
      throw error;
    } finally {
      await stage.dispose();
    }
  });
}
