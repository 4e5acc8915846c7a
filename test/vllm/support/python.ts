/** Runs the tests that are written in Python, with the official Python clients, against a gateway. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { PYTHON } from "./llmux-run.ts";

const FOLDER = fileURLToPath(new URL("../python/", import.meta.url));

/** Runs a file of tests to its end; all must pass, and at least one. Tells their names. */
export async function runPython(
  context: Pick<TestContext, "diagnostic">,
  file: string,
  variables: Readonly<Record<string, string>>,
): Promise<void> {
  const env = { PATH: process.env["PATH"] ?? "", PYTHONDONTWRITEBYTECODE: "1", ...variables };
  const child = spawn(PYTHON, [join(FOLDER, file), "--verbose"], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  let output = "";
  for await (const chunk of child.stderr) output += String(chunk);
  assert.equal(await exited, 0, output);
  assert.match(output, /^Ran [1-9]\d* tests? in .*\n\nOK$/m, output);
  for (const [, name] of output.matchAll(/^(.*) \.\.\. ok$/gm)) context.diagnostic(`${file}: ${name}`);
}
