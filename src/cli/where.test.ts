import { deepEqual, equal, throws } from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, it } from "node:test";
import { configJsonSchema } from "../config/schema.ts";
import type { Shell } from "./shell.ts";
import { configFile, DEFAULT_STATE_DIR, which } from "./where.ts";

let home = "";
let cwd = "";
let shell: Shell;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "llmux-home-"));
  cwd = mkdtempSync(join(tmpdir(), "llmux-cwd-"));
  shell = {
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: { HOME: home },
    cwd,
    onInterrupt: () => new AbortController().signal,
  };
});

afterEach(() => {
  for (const folder of [home, cwd]) rmSync(folder, { recursive: true, force: true });
});

function writeConfig(folder: string, stateDir: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "llmux.yaml");
  writeFileSync(file, `state_dir: ${stateDir}\nmodels: {a: {model_path: x}}\n`);
  return file;
}

describe("the configuration that is meant", () => {
  it("is the one that was named, else the one in this folder, else the one at home", () => {
    throws(() => configFile(undefined, shell), {
      name: "CommandError",
      exitCode: 2,
      message: /no configuration: name a file/,
    });
    const atHome = writeConfig(join(home, ".config/llmux"), "/h");
    equal(configFile(undefined, shell), atHome);
    const here = writeConfig(cwd, "/c");
    equal(configFile(undefined, shell), here);
    equal(configFile("other.yaml", shell), "other.yaml");
  });
});

describe("the llmux that is meant", () => {
  it("is found by its folder, its configuration, a default configuration, or the default folder", async () => {
    deepEqual(await which({}, shell), { stateDir: join(home, ".local/state/llmux"), config: null });
    writeConfig(join(home, ".config/llmux"), "~/s");
    equal((await which({}, shell)).stateDir, join(home, "s"));
    writeConfig(cwd, "/c");
    equal((await which({}, shell)).stateDir, "/c");
    const named = writeConfig(join(cwd, "other"), "/o");
    const found = await which({ config: named }, shell);
    equal(found.stateDir, "/o");
    equal(found.config?.models[0]?.name, "a");
    deepEqual(await which({ stateDir: "s" }, shell), { stateDir: join(cwd, "s"), config: null });
  });

  it("keeps its state by default where the configuration's default is", () => {
    const { properties } = configJsonSchema() as { properties: { state_dir: { default: string } } };
    equal(DEFAULT_STATE_DIR, properties.state_dir.default);
  });
});
