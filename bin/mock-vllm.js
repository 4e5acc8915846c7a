#!/usr/bin/env node
// Starts the stand-in engine: from the sources in a checkout, from the built file in a package.
import { existsSync } from "node:fs";
import module from "node:module";

// Two processes start for every engine; with the compiled code kept from the last start, each takes half the time.
module.enableCompileCache?.();

const source = new URL("../src/mock-vllm/main.ts", import.meta.url);
const built = new URL("../dist/mock-vllm.js", import.meta.url);

// Node runs no TypeScript that lies under node_modules.
const isCheckout = !source.pathname.includes("/node_modules/") && existsSync(source);

if (isCheckout && process.features.typescript) {
  await import(source.href);
} else if (existsSync(built)) {
  await import(built.href);
} else {
  process.stderr.write(
    `mock-vllm: expected Node 22.19 or later (it runs TypeScript as it is) or a built dist/mock-vllm.js, found Node ${process.versions.node} and no build\n`,
  );
  process.exitCode = 1;
}
