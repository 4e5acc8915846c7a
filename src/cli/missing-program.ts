/** Says beforehand what the first request would run into: there is no such engine program. */
import type { Config } from "../config/config.ts";
import { findProgram } from "../platform/find-program.ts";
import { resolveStandIn } from "../platform/stand-in.ts";

/** A sentence, or null when the program of `vllm_command` is there. */
export function missingProgram(config: Config, path: string | undefined): string | null {
  const [program = ""] = resolveStandIn(config.vllmCommand);
  if (findProgram(program, path) !== null) return null;
  const found = program.includes("/") ? "no such program" : "no such program on the PATH";
  const advice = program.includes(" ")
    ? `; a text is one program and is not split, so write a list: [${program.split(/\s+/).join(", ")}]`
    : "";
  return `vllm_command: expected a program that starts vLLM, found ${JSON.stringify(program)}: ${found}${advice}`;
}
