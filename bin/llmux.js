#!/usr/bin/env node
// Starts llmux: from the sources in a checkout, from the built file in a package.
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";

// V8 lets garbage grow to several times what is in use: tens of MiB that the weights of sleeping models could have. With these
// a gateway's memory stays where it is after its first seconds (bench/README.md, endurance). They must be given when Node starts, so
// the process becomes another one with the same pid; Node before 22.15 cannot do that and goes on as it is.
// When thousands of requests have gone, what they left is collected: nothing else might happen for hours that led to it.
const MEMORY_FLAGS = ["--max-semi-space-size=8", "--heap-growing-percent=50", "--expose-gc"];
// After a pause V8 has taken most of that space away, and hardly gives it back to a gateway, whose garbage is all short-lived: collections come
// three times as often, and a chunk of a stream costs 12 % more (November 2026, side by side, bench/README.md).
MEMORY_FLAGS.push("--min-semi-space-size=8");
// Else V8 tidies up when there has been little to do for 8 s, and throws compiled functions away with the rest: thousands of requests after
// a pause take a third longer in the gateway, and the memory that it finds is next to none (November 2026, side by side, bench/README.md).
MEMORY_FLAGS.push("--no-memory-reducer");
// What lies outside of the heap is weighed together with it. Otherwise V8 goes through the whole heap after each few dozens of MB that pass: a
// third of the CPU of a request of 256 KB, and 7 % of that of a chunk (November 2026, side by side). Node ends at a flag that its V8 does
// not know: that of Node 22 does not yet, and later ones than that of Node 26 may not know it any more.
const [v8Major = 0, v8Minor = 0] = process.versions.v8.split(".").map(Number);
const v8 = v8Major + v8Minor / 100;
if (v8 >= 13.06 && v8 <= 14.06) MEMORY_FLAGS.push("--external-memory-accounted-in-global-limit");
// The C library (glibc) has up to eight heaps a core for the threads, and what was used once in each of them stays: with one for the main
// thread and one for all others a gateway has some 10 MB less after a crowd of 10,000 has gone, and its requests cost the same; with one for all,
// large bodies pass a sixth slower (November 2026, bench/README.md). Written in a way in which nobody else writes it, since
// it is ours alone: engines have many threads that are to have heaps of their own.
const C_LIBRARY = "glibc.malloc.arena_max=0x2";
if (process.argv[2] === "serve" && !MEMORY_FLAGS.every((flag) => process.execArgv.includes(flag))) {
  const command = [process.execPath, ...MEMORY_FLAGS, ...process.execArgv, ...process.argv.slice(1)];
  process.execve?.(process.execPath, command, { GLIBC_TUNABLES: C_LIBRARY, ...process.env });
}
if (process.env.GLIBC_TUNABLES === C_LIBRARY) delete process.env.GLIBC_TUNABLES;

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
