/** Where things lie under the state folder, for those who write them and those who read them. */
import { createHash } from "node:crypto";
import { join } from "node:path";

/** File systems take 255 bytes; what is left is for endings such as `.json.new`. */
const FILE_NAME_LENGTH_MAX = 240;
const HASH_LENGTH = 16;

/** A model's name as the beginning of a file name: without slashes, and cut, with a hash to tell it by, where it is too long. */
export function fileNameFor(model: string): string {
  const whole = encodeURIComponent(model);
  if (whole.length <= FILE_NAME_LENGTH_MAX) return whole;
  const hash = createHash("sha256").update(model).digest("hex").slice(0, HASH_LENGTH);
  return `${whole.slice(0, FILE_NAME_LENGTH_MAX - HASH_LENGTH - 1)}-${hash}`;
}

/** The file that holds the output of a model's engine since its last start; that of the start before has `.1` after it. */
export function engineLogFile(stateDir: string, model: string): string {
  return join(stateDir, "logs", `${fileNameFor(model)}.log`);
}

/** The socket on which a running llmux answers the commands of its operator. */
export function controlSocketPath(stateDir: string): string {
  return join(stateDir, "llmux.sock");
}

/** What switches have cost in former runs. */
export function switchCostFile(stateDir: string): string {
  return join(stateDir, "switch-costs.json");
}
