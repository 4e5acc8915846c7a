import assert from "node:assert/strict";
import { test } from "node:test";
import { nvidiaSmi, parseGpus, sumOf } from "./nvidia-smi.ts";

const ENV = { PATH: process.env["PATH"] ?? "" };
const MIB = 1024 ** 2;

/** A probe whose program prints `text`, whatever it is asked. */
function printing(text: string) {
  return nvidiaSmi(["sh", "-c", `printf '${text}'`, "sh"], ENV);
}

test("memory is read in bytes, by GPU and by process", async () => {
  assert.deepEqual(await printing("0, 81559, 17\\n1, 81559, 40000\\n").gpus(), [
    { index: "0", totalBytes: 81_559 * MIB, usedBytes: 17 * MIB },
    { index: "1", totalBytes: 81_559 * MIB, usedBytes: 40_000 * MIB },
  ]);
  assert.equal(await printing("10, 100\\n11, 20\\n10, 3\\n").usedBytesBy([10, 12]), 103 * MIB);
});

test("processes that hold nothing hold 0, and a figure that is not told is null, not 0", () => {
  assert.equal(sumOf([["11", "20"]], new Set([10])), 0);
  assert.equal(sumOf([["10", "[N/A]"]], new Set([10])), null);
  assert.equal(parseGpus([["0", "[N/A]", "[N/A]"]]), null);
  assert.equal(parseGpus([]), null);
});

test("a program that is not there, one that fails, one that prints without end and one that cannot even be tried answer null", async () => {
  assert.equal(await nvidiaSmi(["/no/such/nvidia-smi"], ENV).gpus(), null);
  assert.equal(await nvidiaSmi(["false"], ENV).usedBytesBy([1]), null);
  assert.equal(await nvidiaSmi(["yes"], ENV).gpus(), null);
  // More arguments than the system takes: Node throws rather than to report it.
  assert.equal(await nvidiaSmi(["true", "x".repeat(4 * MIB)], ENV).gpus(), null);
});

test("a program that hangs and does not heed SIGTERM is given up", { timeout: 10_000 }, async () => {
  // The sleep is a child of its own that keeps the pipe open when the shell is killed, as a wrapper's nvidia-smi does.
  const probe = nvidiaSmi(["sh", "-c", "trap '' TERM; sleep 20; true", "sh"], ENV, 100);
  assert.equal(await probe.gpus(), null);
});
