/** What a check across keys has to say, before it is known where in a file that is. */

import { type KeyPath, pathText } from "./document.ts";

/** What a check across keys has to say about one of them. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly path: KeyPath;
  readonly message: string;
  /** Whether it is the key that is meant and not its value. */
  readonly onKey?: boolean;
}

/** A finding as one sentence, for where there is no file to point into: `models.a.gpu_memory: expected …`. */
export function findingText({ path, message }: Finding): string {
  return `${pathText(path)}: ${message}`;
}
