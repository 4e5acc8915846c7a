import assert from "node:assert/strict";
import { test } from "node:test";
import { likelyCause, parseProgress, plainLine } from "./vllm-output.ts";

const ESC = String.fromCharCode(27);

/** Every step of a start that a list of lines tells, one after the other. */
function stages(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const progress = parseProgress(plainLine(line));
    if (progress === null) return [];
    return [progress.percent === null ? progress.stage : `${progress.stage} ${progress.percent}%`];
  });
}

// ── progress ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test("a start of vLLM 0.32 on a CPU is followed from its banner to its readiness", () => {
  const lines = [
    "W1121 17:42:59.286000 5919 torch/utils/flop_counter.py:29] triton not found; flop counting will not work",
    "(APIServer pid=5919) INFO 11-21 17:43:13 [api_utils.py:347]        █     █     █▄   ▄█",
    "(APIServer pid=5919) INFO 11-21 17:43:13 [api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0",
    "(APIServer pid=5919) INFO 11-21 17:43:13 [api_utils.py:347]   █▄█▀ █     █     █     █  model   org/tiny",
    "(APIServer pid=5919) WARNING 11-21 17:43:13 [vllm.py:1703] Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup. This is equivalent to setting -cc.mode=none -cc.cudagraph_mode=none",
    "(EngineCore pid=7080) INFO 11-21 17:43:33 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='org/tiny', load_format=auto",
    "(Worker pid=8126) INFO 11-21 17:43:50 [cpu_model_runner.py:68] Starting to load model org/tiny...",
    "(Worker pid=8126) INFO 11-21 17:43:50 [weight_utils.py:1108] Filesystem type for checkpoints: EXT4. Checkpoint size: 0.00 GiB.",
    "Loading safetensors checkpoint shards:   0% Completed | 0/1 [00:00<?, ?it/s]",
    "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 152.90it/s]",
    "",
    "(Worker pid=8126) INFO 11-21 17:43:50 [default_loader.py:501] Loading weights took 0.01 seconds",
    "(EngineCore pid=7080) INFO 11-21 17:43:53 [kv_cache_utils.py:2327] CPU KV cache size: 1,398,016 tokens, Maximum concurrency for 2,048 tokens per request: 682.62x",
    "(EngineCore pid=7080) WARNING 11-21 17:43:54 [vllm.py:1703] Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup.",
    "(APIServer pid=5919) INFO 11-21 17:43:55 [launcher.py:195] Route: /tokenize, Methods: POST",
    "INFO:     Waiting for application startup.",
    "INFO:     Application startup complete.",
  ];
  assert.deepEqual(stages(lines), [
    "starting",
    "initializing",
    "loading weights",
    "loading weights 0%",
    "loading weights 100%",
    "reserving KV cache",
    "ready",
  ]);
});

test("a start on a GPU tells of its weights, its compilation and its graphs as well", () => {
  const lines = [
    "(APIServer pid=1) INFO 08-20 12:00:00 [api_server.py:1] vLLM API server version 0.28.0",
    "(EngineCore pid=2) INFO 08-20 12:00:05 [core.py:1] Initializing a V1 LLM engine (v0.28.0) with config: model='org/big'",
    "(EngineCore pid=2) INFO 08-20 12:00:09 [gpu_model_runner.py:1] Starting to load model org/big...",
    "Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.93it/s]",
    "(EngineCore pid=2) INFO 08-20 12:00:12 [gpu_model_runner.py:1] Model loading took 14.19 GiB memory and 2.5 seconds",
    "(EngineCore pid=2) INFO 08-20 12:00:13 [backends.py:1105] Using cache directory: /home/me/.cache/vllm for vLLM's torch.compile",
    "(EngineCore pid=2) INFO 08-20 12:00:18 [backends.py:1167] Dynamo bytecode transform time: 4.91 s",
    "(EngineCore pid=2) INFO 08-20 12:00:30 [monitor.py:20] torch.compile took 16.84 s in total",
    "(EngineCore pid=2) INFO 08-20 12:00:31 [gpu_worker.py:1] Available KV cache memory: 3.21 GiB",
    "(EngineCore pid=2) INFO 08-20 12:00:31 [kv_cache_utils.py:1] GPU KV cache size: 60,096 tokens",
    "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  40%|████      | 14/35 [00:01<00:01, 13.20it/s]",
    "Capturing CUDA graphs (decode, FULL): 100%|██████████| 35/35 [00:02<00:00, 13.20it/s]",
    "(EngineCore pid=2) INFO 08-20 12:00:35 [gpu_model_runner.py:1] Graph capturing finished in 3 secs, took 0.52 GiB",
    "INFO:     Application startup complete.",
  ];
  assert.deepEqual(stages(lines), [
    "starting",
    "initializing",
    "loading weights",
    "loading weights 50%",
    "weights loaded",
    "compiling",
    "compiling",
    "compiling",
    "reserving KV cache",
    "reserving KV cache",
    "capturing graphs 40%",
    "capturing graphs 100%",
    "graphs captured",
    "ready",
  ]);
});

test("the other loaders' bars count as weights too", () => {
  const bars = [
    "Loading safetensors checkpoint shards (eager):  25% Completed | 1/4 [00:00<00:01, 2.00it/s]",
    "Loading pt checkpoint shards:  33% Completed | 1/3 [00:00<00:01, 2.00it/s]",
    "Multi-thread loading pt checkpoint shards:  67% Completed | 2/3 [00:00<00:01, 2.00it/s]",
  ];
  assert.deepEqual(stages(bars), ["loading weights 25%", "loading weights 33%", "loading weights 67%"]);
});

test("the lines of requests and sleeps are no progress", () => {
  const lines = [
    'INFO:     127.0.0.1:49942 - "GET /version HTTP/1.1" 200 OK',
    "(EngineCore pid=7080) INFO 11-21 17:45:01 [abstract.py:390] It took 0.000248 seconds to fall asleep.",
    "(APIServer pid=5919) INFO 11-21 17:45:01 [api_router.py:50] wake up the engine with tags: None",
    "(Worker pid=8126) INFO 11-21 17:45:02 [inplace.py:113] Reloading and processing weights took 0.08 seconds",
    "",
  ];
  assert.deepEqual(stages(lines), []);
});

// ── plain lines ───────────────────────────────────────────────────────────────────────────────────────────────────────

test("colours, titles and cursor movements are taken out, and everything else is left alone", () => {
  assert.equal(plainLine(`${ESC}[1;36m(APIServer pid=1)${ESC}[0;0m INFO ready`), "(APIServer pid=1) INFO ready");
  assert.equal(plainLine(`${ESC}]0;vllm${String.fromCharCode(7)}text${ESC}[2K`), "text");
  assert.equal(plainLine(`${ESC}]8;;http://x/${ESC}\\link${ESC}]8;;${ESC}\\`), "link");
  assert.equal(plainLine("  █▄█▀ [core.py:133] 100% \\[0m"), "  █▄█▀ [core.py:133] 100% \\[0m");
});

test("of a bar that rewrites itself the last state is left", () => {
  assert.equal(plainLine("shards:   0%\rshards:  50%\rshards: 100%"), "shards: 100%");
  assert.equal(plainLine("shards:  50%\r"), "shards:  50%");
  assert.equal(plainLine("from Windows\r"), "from Windows");
});

// ── the cause of an end ───────────────────────────────────────────────────────────────────────────────────────────────

test("the cause of a taken port is the last line of the traceback", () => {
  const lines = [
    "Traceback (most recent call last):",
    '  File "launcher.py", line 348, in create_server_socket',
    "    sock.bind(addr)",
    "OSError: [Errno 98] Address already in use",
  ];
  assert.equal(likelyCause(lines), "OSError: [Errno 98] Address already in use");
});

test("the cause of a wrong argument is what the parser says of it", () => {
  const lines = [
    "usage: vllm [-h] [-v]",
    "            ...",
    "vllm: error: unrecognized arguments: --no-such-flag 1",
    "",
  ];
  assert.equal(likelyCause(lines), "vllm: error: unrecognized arguments: --no-such-flag 1");
});

test("a setting that was refused is named with the reason below the count", () => {
  const lines = [
    "    s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)",
    "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
    "  Value error, Sleep mode is not supported on current platform. [type=value_error, input_type=ArgsKwargs]",
    "    For further information visit https://errors.pydantic.dev/2.14/v/value_error",
  ];
  assert.equal(
    likelyCause(lines),
    "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig: " +
      "Value error, Sleep mode is not supported on current platform. [type=value_error, input_type=ArgsKwargs]",
  );
});

test("a worker's error is the cause, not the parents' that stand below it", () => {
  const lines = [
    "(Worker pid=3) ERROR 11-21 17:57:57 [multiproc_executor.py:1063] Traceback (most recent call last):",
    "(Worker pid=3) ERROR 11-21 17:57:57 [multiproc_executor.py:1063]     raise ValueError(",
    "(Worker pid=3) ERROR 11-21 17:57:57 [multiproc_executor.py:1063] ValueError: Available memory is less than requested",
    "(EngineCore pid=2) ERROR 11-21 17:57:57 [core.py:1510] RuntimeError: Worker failed with error 'Available memory is less than requested', please check the stack trace above",
    ...Array.from({ length: 60 }, () => '  File "core_client.py", line 682, in __init__'),
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    "resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked shared_memory objects",
    "  warnings.warn('resource_tracker: There appear to be %d '",
  ];
  const cause = likelyCause(lines);
  assert.match(cause, /^RuntimeError: Worker failed with error 'Available memory is less than requested'/);
});

test("an out-of-memory error is the cause wherever it is logged", () => {
  const lines = [
    "(EngineCore pid=2) ERROR 08-20 12:00:00 [core.py:1] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
  ];
  assert.equal(likelyCause(lines), "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.");
});

test("when only the parent has spoken, its words are the cause", () => {
  const lines = ["RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"];
  assert.equal(likelyCause(lines), lines[0]);
});

test("an error that a warning quotes is not the cause", () => {
  const lines = [
    "(APIServer pid=1) WARNING 11-21 17:43:13 [system_utils.py:255] This can cause fd limit errors like `OSError: [Errno 24] Too many open files`.",
    "(APIServer pid=1) INFO 11-21 17:43:13 [model.py:733] Resolved architecture: LlamaForCausalLM",
    "",
  ];
  assert.equal(likelyCause(lines), "Resolved architecture: LlamaForCausalLM");
});

test("an exception without a message is named all the same", () => {
  const lines = ["    assert False", "AssertionError", "sys:1: a last word"];
  assert.equal(likelyCause(lines), "AssertionError");
});

test("of silence nothing is made up", () => {
  assert.equal(likelyCause([]), "");
  assert.equal(likelyCause(["", "  "]), "");
});
