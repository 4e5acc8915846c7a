/** From what the configuration says to the engine that is meant. */
import { unreachable } from "../base/assert.ts";
import type { EngineSettings } from "../base/engine-settings.ts";
import { customEngine } from "./custom.ts";
import type { Engine } from "./engine.ts";
import { llamaServer } from "./llama-server.ts";
import { sglang } from "./sglang.ts";
import { vllm } from "./vllm.ts";

/** The programs by which engines are started, each with its leading arguments. */
export interface EnginePrograms {
  readonly vllm: readonly string[];
  readonly sglang: readonly string[];
  readonly "llama-server": readonly string[];
}

/** The engine of a model. */
export function chooseEngine(settings: EngineSettings, programs: EnginePrograms): Engine {
  switch (settings.kind) {
    case "vllm":
      return vllm(programs.vllm);
    case "sglang":
      return sglang(programs.sglang);
    case "llama-server":
      return llamaServer(programs["llama-server"]);
    case "command":
    case "external":
      return customEngine(settings);
  }
  return unreachable(settings);
}
