/** `llmux schema`: the JSON Schema of the configuration, for editors. */
import { configJsonSchema } from "../config/schema.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { print, type Shell } from "./shell.ts";

/** Prints it on stdout. */
export async function schema(shell: Shell): Promise<ExitCode> {
  await print(shell, `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  return EXIT.fine;
}
