/** Where things lie under the state folder, for those who write them and those who read them. */
import { join } from "node:path";

/** The file that holds the output of a model's engine since its last start; that of the start before has `.1` after it. */
export function engineLogFile(stateDir: string, model: string): string {
  // Names may hold slashes; what comes out has none, and stays within what file systems take for all but absurd names.
  return join(stateDir, "logs", `${encodeURIComponent(model)}.log`);
}

/** The socket on which a running llmux answers the commands of its operator. */
export function controlSocketPath(stateDir: string): string {
  return join(stateDir, "llmux.sock");
}
