/** What a configuration that is wrong leads to, for tests of what is said about it. */
import assert from "node:assert/strict";
import { ConfigError, parseConfig } from "../load.ts";

/** The lines of the error that `text`, as the file "f", leads to; none when nothing is wrong with it. */
export function errorLines(text: string, environment: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    parseConfig(text, "f", environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split("\n");
  }
  return [];
}
