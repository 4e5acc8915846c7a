import assert from "node:assert/strict";
import { test } from "node:test";
import {
  outOfMemoryCause,
  parseBackedUpBytes,
  parseLoadedBytes,
  parseSleepMemory,
  saysOutOfMemory,
} from "./vllm-memory.ts";

const GIB = 1024 ** 3;

test("a worker's line tells how many bytes its sleep freed, and how many are in use on its GPU", () => {
  const line =
    "(EngineCore pid=2) INFO 08-20 12:00:00 [gpu_worker.py:327] Sleep mode freed 14.5 GiB memory, 1.02 GiB memory is still in use.";
  assert.deepEqual(parseSleepMemory(line), { freedBytes: 14.5 * GIB, inUseBytes: 1.02 * GIB });
});

test("a sleep that freed nothing says 0.0, and that is not silence", () => {
  const nothing = parseSleepMemory("Sleep mode freed 0.0 GiB memory, 15.52 GiB memory is still in use.");
  assert.equal(nothing?.freedBytes, 0);
  const less = parseSleepMemory("Sleep mode freed -0.25 GiB memory, 15.77 GiB memory is still in use.");
  assert.equal(less?.freedBytes, -GIB / 4);
});

test("on a CPU nothing is said of freed memory", () => {
  const lines = [
    "(Worker pid=8126) WARNING 11-21 17:45:01 [cpu_worker.py:180] sleep mode is not supported on CPU, ignore it.",
    "(EngineCore pid=7080) INFO 11-21 17:45:01 [abstract.py:390] It took 0.000248 seconds to fall asleep.",
  ];
  assert.deepEqual(lines.map(parseSleepMemory), [null, null]);
});

test("what a worker has put into the host's memory is told by its allocator, and what it has loaded by its start", () => {
  const sleep =
    "(EngineCore pid=2) INFO 08-20 12:00:00 [cumem.py:213] CuMemAllocator: sleep freed 23.27 GiB memory in total, of which 14.25 GiB " +
    "is backed up in CPU and the rest 9.02 GiB is discarded directly.";
  assert.equal(parseBackedUpBytes(sleep), 14.25 * GIB);
  assert.equal(parseBackedUpBytes(sleep.replace("14.25", "0.00")), 0);
  const load =
    "(Worker_TP0 pid=3) INFO 08-20 12:00:12 [gpu_model_runner.py:1] Model loading took 14.2 GiB memory and 2.5 seconds";
  assert.equal(parseLoadedBytes(load), 14.2 * GIB);
  assert.deepEqual([parseBackedUpBytes(load), parseLoadedBytes(sleep), parseSleepMemory(sleep)], [null, null, null]);
});

function message(text: string): string {
  return JSON.stringify({ error: { message: text, code: 500 } });
}

test("an answer says that memory ran out in the words of any allocator, and no other failure does", () => {
  for (const text of [
    "Call to wake_up method failed: CUDA Error: out of memory at /workspace/csrc/cumem_allocator.cpp:139",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "HIP out of memory. Tried to allocate 20.00 MiB.",
    "CUDA error: out of memory",
  ]) {
    assert.ok(saysOutOfMemory(message(text)), text);
  }
  for (const text of ["EngineCore encountered an issue.", "CUDA error: an illegal memory access was encountered", ""]) {
    assert.ok(!saysOutOfMemory(message(text)), text);
  }
});

test("a start that found too little memory is known by its first complaint, with the engine's figures", () => {
  const free =
    "ValueError: Free memory on device cuda:0 (2.40/24.00 GiB) on startup is less than desired GPU memory utilization (0.9, 21.60 GiB). " +
    "Decrease GPU memory utilization or reduce GPU memory used by other processes.";
  const after = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}";
  const prefix = "(EngineCore pid=2) ERROR 08-20 12:00:00 [core.py:1] ";
  assert.equal(outOfMemoryCause([`${prefix}Traceback (most recent call last):`, prefix + free, after]), free);
  const torch = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.00 GiB free.";
  assert.equal(outOfMemoryCause([prefix + torch, `${prefix}RuntimeError: CUDA error: out of memory`, after]), torch);
  const cache = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`";
  assert.equal(outOfMemoryCause([cache, after]), cache);
});

test("other ends of a start, and errors that a warning quotes, are no lack of memory", () => {
  const lines = [
    "(EngineCore pid=2) WARNING 08-20 12:00:00 [x.py:1] retrying after torch.OutOfMemoryError: CUDA out of memory.",
    "AssertionError: Error in memory profiling. Initial free memory 20.00 GiB, current free memory 21.00 GiB.",
    "OSError: [Errno 98] Address already in use",
  ];
  assert.equal(outOfMemoryCause(lines), null);
});
