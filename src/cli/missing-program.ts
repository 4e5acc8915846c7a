/** Says beforehand what the first request would run into: there is no such engine program. */
import type { Config } from "../config/config.ts";
import { findProgram } from "../platform/find-program.ts";
import { resolveStandIn } from "../platform/stand-in.ts";

/** A sentence for the first program that is not there, or null when all are that models are to be started with. */
export function missingProgram(config: Config, path: string | undefined): string | null {
  const kinds = new Set(config.models.map(({ engine }) => engine.kind));
  const programs: readonly (readonly [key: string, name: string, command: readonly string[], wanted: boolean])[] = [
    ["vllm_command", "vLLM", resolveStandIn(config.vllmCommand), kinds.has("vllm")],
    ["sglang_command", "SGLang", config.sglangCommand, kinds.has("sglang")],
    ["llama_server_command", "llama-server", config.llamaServerCommand, kinds.has("llama-server")],
    ...config.models.flatMap(({ name, engine }) =>
      engine.kind === "command"
        ? [[`models.${name}.engine.command.start`, "the engine", engine.start, true] as const]
        : [],
    ),
  ];
  for (const [key, name, command, isWanted] of programs) {
    const [program = ""] = command;
    if (!isWanted || findProgram(program, path) !== null) continue;
    const found = program.includes("/") ? "no such program" : "no such program on the PATH";
    const advice = program.includes(" ")
      ? `; a text is one program and is not split, so write a list: [${program.split(/\s+/).join(", ")}]`
      : "";
    return `${key}: expected a program that starts ${name}, found ${JSON.stringify(program)}: ${found}${advice}`;
  }
  return null;
}
