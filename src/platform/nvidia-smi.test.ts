import assert from "node:assert/strict";
import { test } from "node:test";
import { nvidiaSmi, parseGpus, parseShares } from "./nvidia-smi.ts";

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
  const processes = printing("GPU-a, 10, 100\\nGPU-a, 11, 20\\nGPU-b, 10, 3\\nGPU-a, 12, 7\\n");
  assert.equal(await processes.usedBytesBy([10, 12]), 110 * MIB);
  assert.deepEqual(await processes.sharesOf([10, 12]), [
    { uuid: "GPU-a", usedBytes: 107 * MIB },
    { uuid: "GPU-b", usedBytes: 3 * MIB },
  ]);
});

test("processes that hold nothing hold 0, and a figure that is not told is null, not 0", () => {
  assert.deepEqual(parseShares([["GPU-a", "11", "20"]], new Set([10])), []);
  assert.equal(parseShares([["GPU-a", "10", "[N/A]"]], new Set([10])), null);
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
