#!/usr/bin/env node
// Starts llmux: from the sources in a checkout, from the built file in a package.
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";

// The commands are short: with the compiled code kept from the last time, they start sooner. Old versions of Node do not have it.
nodeModule.enableCompileCache?.();

const source = new URL("../src/main.ts", import.meta.url);
const built = new URL("../dist/llmux.js", import.meta.url);
// Node runs no TypeScript that lies under node_modules.
const isCheckout = !source.pathname.includes("/node_modules/") && existsSync(source);

if (isCheckout && process.features.typescript) {
  await import(source.href);
} else if (existsSync(built)) {
  await import(built.href);
} else {
  const needed = isCheckout
    ? "expected Node 22.19 or later, which runs TypeScript as it is, or a built dist/llmux.js"
    : "expected a built dist/llmux.js beside it: the package is not complete";
  process.stderr.write(`llmux: ${needed}; found Node ${process.versions.node} and no build\n`);
  process.exitCode = 1;
}
