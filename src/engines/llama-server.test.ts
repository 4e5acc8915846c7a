import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineModel } from "./engine.ts";
import { llamaServer } from "./llama-server.ts";

const MODEL: EngineModel = {
  name: "small",
  aliases: ["tiny"],
  upstreamModel: null,
  modelPath: "/models/small.gguf",
  gpus: [1],
  sleepModeFlag: true,
  extraArgs: ["-np", "2"],
  env: { LLAMA_CACHE: "/cache" },
};

/** As build 11434 prints it. */
const MISSING = [
  "0.00.001.497 I srv  llama_server: initializing ...",
  "0.00.017.444 I srv    load_model: loading model '/nowhere/x.gguf'",
  "0.00.017.537 E gguf_init_from_file: failed to open GGUF file '/nowhere/x.gguf' (No such file or directory)",
  "0.00.017.662 E llama_model_load: error loading model: llama_model_loader: failed to load model from /nowhere/x.gguf",
  "0.00.021.849 E srv  llama_server: exiting due to model loading error",
];

test("a file is loaded by its path and a repository by its name, under the model's names, on its port", () => {
  const engine = llamaServer(["llama-server", "--offline"]);
  const words = ["--host", "127.0.0.1", "--port", "8001", "--alias", "small,tiny", "-np", "2"];
  assert.deepEqual(engine.plan(MODEL, 8001).command, [
    "llama-server",
    "--offline",
    "--model",
    "/models/small.gguf",
    ...words,
  ]);
  const { command, environment, origin } = engine.plan({ ...MODEL, modelPath: "ggml-org/small-GGUF:Q4_K_M" }, 8001);
  assert.deepEqual(command.slice(2, 4), ["--hf-repo", "ggml-org/small-GGUF:Q4_K_M"]);
  assert.equal(environment["CUDA_VISIBLE_DEVICES"], "1");
  assert.equal(environment["LLAMA_CACHE"], "/cache");
  assert.equal(origin, "http://127.0.0.1:8001");
});

test("a name of its own is left alone", () => {
  const { command } = llamaServer(["s"]).plan({ ...MODEL, extraArgs: ["--alias", "x"] }, 1);
  assert.deepEqual(command.filter((word) => word === "--alias").length, 1);
});

test("its output tells how far it is, and why it ended", () => {
  const engine = llamaServer([]);
  const stages = [...MISSING, "0.15.319.331 I srv  llama_server: listening on http://127.0.0.1:18080"]
    .map((line) => engine.parseProgress(line)?.stage)
    .filter((stage) => stage !== undefined);
  assert.deepEqual(stages, ["loading weights", "ready"]);
  assert.equal(
    engine.likelyCause(MISSING),
    "gguf_init_from_file: failed to open GGUF file '/nowhere/x.gguf' (No such file or directory)",
  );
  assert.equal(engine.outOfMemoryCause(MISSING), null);
});

test("too little GPU memory is told from other failures", () => {
  const said =
    "0.01.000.000 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 900.00 MiB on device 0: cudaMalloc failed: out of memory";
  assert.match(llamaServer([]).outOfMemoryCause([...MISSING, said]) ?? "", /^ggml_backend.*out of memory$/);
});
