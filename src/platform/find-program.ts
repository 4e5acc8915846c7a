/** Whether a program is there to be started, looked for as the system would. */
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The file that would be started, or null. A name with a slash is a path; any other is looked for on the PATH. */
export function findProgram(program: string, path: string | undefined): string | null {
  if (program.includes("/")) return isExecutable(program) ? program : null;
  const folders = (path ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
