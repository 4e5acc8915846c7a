/** What the API server and its EngineCore process say to each other. */
import type { Tag, Weights } from "./engine-memory.ts";
import type { Settings } from "./settings.ts";

/** All that EngineCore needs to know; travels on its command line. */
export interface CoreConfig {
  readonly model: string;
  readonly weightsBytes: number;
  readonly gpuMemoryUtilization: number;
  readonly tensorParallelSize: number;
  readonly sleepModeEnabled: boolean;
  readonly maxModelLenTokens: number;
  readonly shutdownTimeoutMs: number;
  readonly settings: Settings;
  /** Faults that act during the start. */
  readonly neverReady: boolean;
  readonly ignoreSigterm: boolean;
}

/** What EngineCore is asked to do; calls are done one after the other, in the order sent. */
export type CoreCall =
  | { readonly op: "state" }
  | { readonly op: "sleep"; readonly level: number; readonly freesNothing: boolean; readonly leakBytes: number }
  | {
      readonly op: "wake";
      readonly tags: readonly string[] | undefined;
      readonly outOfMemory: boolean;
      readonly corrupt: boolean;
    }
  | { readonly op: "reload" }
  | { readonly op: "illegal access" }
  | { readonly op: "kill yourself" };

/** How the engine's memory stands, as far as the API server has to know. */
export interface CoreState {
  /** The executor's flag: set by a sleep that went well, cleared when every tag is awake. */
  readonly isSleeping: boolean;
  readonly sleepingTags: readonly Tag[];
  readonly level: number;
  readonly weights: Weights;
  readonly isMapped: boolean;
}

/** EngineCore's messages to the API server. */
export type CoreMessage =
  | { readonly kind: "ready"; readonly state: CoreState; readonly kvCacheTokens: number }
  | { readonly kind: "done"; readonly id: number; readonly state: CoreState }
  | { readonly kind: "failed"; readonly id: number; readonly state: CoreState; readonly message: string };

/** The API server's messages to EngineCore. */
export type ApiMessage = { readonly kind: "call"; readonly id: number; readonly call: CoreCall };
