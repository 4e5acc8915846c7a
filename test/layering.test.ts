/** Holds the import rules of docs/ARCHITECTURE.md: who may know whom. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SRC = fileURLToPath(new URL("../src", import.meta.url));

/** Imports point to a lower number only, or stay in their room; rooms of the same number do not know each other. */
const LEVELS: Readonly<Record<string, number>> = {
  base: 0,
  "version.ts": 0,
  core: 1,
  ports: 2,
  config: 3,
  engines: 3,
  orchestrator: 4,
  gateway: 4,
  control: 4,
  platform: 4,
  "scheduling.ts": 4,
  "machine.ts": 5,
  workers: 5,
  "app.ts": 6,
  simulation: 7,
  validation: 7,
  cli: 8,
  "index.ts": 8,
  "main.ts": 9,
};

/** Rooms that stand alone: the stand-in engine must not know the program that it is used to test. */
const ALONE = new Set(["mock-vllm"]);

interface Import {
  readonly file: string;
  readonly specifier: string;
}

function sources(): string[] {
  return globSync("**/*.ts", { cwd: SRC }).filter((file) => !file.endsWith(".test.ts") && !file.includes("testing/"));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), "utf8");
  const found = text.matchAll(
    /^(?:import\b[^;"'()]*|export\s+(?:type\s+)?[{*][^;"'()]*)\bfrom\s*["']([^"']+)["']|^import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm,
  );
  return Array.from(found, (match) => ({ file, specifier: match[1] ?? match[2] ?? match[3] ?? "" }));
}

function roomOf(file: string): string {
  return file.split("/")[0] ?? "";
}

function targetRoom({ file, specifier }: Import): string | null {
  if (!specifier.startsWith(".")) return null;
  const target = relative(SRC, resolve(dirname(join(SRC, file)), specifier));
  return target.startsWith("..") ? null : roomOf(target);
}

test("imports point to a lower level only", () => {
  const broken: string[] = [];
  for (const each of sources().flatMap(importsOf)) {
    const from = roomOf(each.file);
    const to = targetRoom(each);
    if (to === null || to === from) continue;
    if (ALONE.has(from) ? to === "base" : (LEVELS[to] ?? Infinity) < (LEVELS[from] ?? -1)) continue;
    broken.push(`${each.file} imports ${each.specifier}`);
  }
  assert.deepEqual(broken, []);
});

test("every room has its level", () => {
  const rooms = new Set(sources().map(roomOf));
  assert.deepEqual(
    [...rooms].filter((room) => !(room in LEVELS) && !ALONE.has(room)),
    [],
  );
});

test("the core knows neither Node, nor anybody else's code, nor the time", () => {
  for (const file of sources().filter((name) => roomOf(name) === "core")) {
    const foreign = importsOf(file).filter(({ specifier }) => !specifier.startsWith("."));
    assert.deepEqual(foreign, [], `${file} imports from outside`);
    const code = readFileSync(join(SRC, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    const forbidden =
      /\b(async|await|Promise|Date|performance|process|setTimeout|setInterval|setImmediate|queueMicrotask|Math\.random|console)\b/;
    assert.equal(forbidden.exec(code)?.[0], undefined, `${file} uses what the core must not know`);
  }
});

test("only the platform starts processes and signals them", () => {
  for (const file of sources().filter((name) => !["platform", "mock-vllm"].includes(roomOf(name)))) {
    const specifiers = importsOf(file).map(({ specifier }) => specifier);
    assert.ok(!specifiers.includes("node:child_process"), `${file} starts processes`);
  }
});
