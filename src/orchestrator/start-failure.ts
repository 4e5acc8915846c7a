/** Why an engine did not start, in the words of its own output. */
import { failure, type Failure } from "../base/failure.ts";
import type { Engine } from "../engines/engine.ts";

/** Lines of output in an operator's hands when an engine has failed. */
export const LAST_OUTPUT_LINES = 30;

/** `what` happened to the engine of `model`, whose last lines of output these are, oldest first: the more the better. */
export function startFailure(
  model: string,
  what: string,
  lines: readonly string[],
  engine: Pick<Engine, "outOfMemoryCause" | "likelyCause">,
): Failure {
  const lastOutput = lines.slice(-LAST_OUTPUT_LINES);
  const tooLittle = engine.outOfMemoryCause(lines);
  if (tooLittle !== null) {
    return failure("out_of_memory", `the engine of ${model} found too little GPU memory: ${tooLittle}`, { lastOutput });
  }
  const cause = engine.likelyCause(lines);
  const said = cause === "" ? "it printed nothing" : `its output ends with: ${cause}`;
  return failure("start_failed", `the engine of ${model} ${what}; ${said}`, { lastOutput });
}
