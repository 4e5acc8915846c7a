/** The stand-in engine that comes with llmux, under the name by which configurations call it. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The name of the program in `vllm_command` and `nvidia_smi_command`. */
const STAND_IN = "mock-vllm";

/** A command of the configuration with the stand-in, if it is named, replaced by ours: it need not be on the PATH. */
export function resolveStandIn(command: readonly string[]): readonly string[] {
  const [program, ...rest] = command;
  return program === STAND_IN ? [process.execPath, join(packageFolder(), "bin", "mock-vllm.js"), ...rest] : command;
}

/** The folder of this package: the sources lie deeper in it than the bundle. */
function packageFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let folder = here; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "bin", "mock-vllm.js"))) return folder;
    if (folder === dirname(folder))
      throw new Error(`the package of llmux is not complete: no bin/mock-vllm.js above ${here}`);
  }
}
