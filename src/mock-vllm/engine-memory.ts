/** What one engine holds in the ledger, and what is left of its weights and KV cache through sleep and wake. */
import { assert } from "../base/assert.ts";
import type { Gpu } from "./gpus.ts";
import type { Device } from "./ledger-entries.ts";
import type { HoldResult, Ledger } from "./ledger.ts";
import type { MemoryPlan } from "./memory-plan.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/** Where the weights are. "garbage" is memory on the GPU that nobody has filled since a level-2 sleep. */
export type Weights = "not loaded" | "loaded" | "in host memory" | "discarded" | "garbage";

/** The two kinds of memory that sleep and wake handle apart. */
export type Tag = "weights" | "kv_cache";

/** An engine's memory at one moment. */
export interface MemoryState {
  readonly weights: Weights;
  readonly kvCache: "on gpu" | "absent";
  /** Kept on each GPU beyond the plan's residue: what faults have leaked so far. */
  readonly leakedBytes: number;
  /** Whether copies of the weights lie in host memory. */
  readonly hostCopy: boolean;
}

/** One engine's share of the ledger. Every change is one step there: it happens whole or not at all. */
export class EngineMemory {
  readonly #ledger: Ledger;
  readonly #owner: ProcessIdentity;
  readonly #gpus: readonly { readonly gpu: Gpu; readonly plan: MemoryPlan }[];
  #state: MemoryState = { weights: "not loaded", kvCache: "absent", leakedBytes: 0, hostCopy: false };

  constructor(ledger: Ledger, owner: ProcessIdentity, gpus: readonly { gpu: Gpu; plan: MemoryPlan }[]) {
    assert(gpus.length > 0, "an engine needs a GPU");
    this.#ledger = ledger;
    this.#owner = owner;
    this.#gpus = gpus;
  }

  /** As it is now. */
  get state(): MemoryState {
    return this.#state;
  }

  /** Whether weights and KV cache are both on the GPU: touching them otherwise is an illegal access. */
  get isMapped(): boolean {
    return isOnGpu(this.#state.weights) && this.#state.kvCache === "on gpu";
  }

  /** Moves to `change` if the machine has room for it; otherwise nothing changes and the answer says what was short. */
  become(change: Partial<MemoryState>): HoldResult {
    const next = { ...this.#state, ...change };
    const wishes = new Map<Device, number>();
    for (const { gpu, plan } of this.#gpus) {
      const { weightsBytes, kvCacheBytes } = movable(next, plan);
      wishes.set(gpu.index, plan.residueBytes + next.leakedBytes + weightsBytes + kvCacheBytes);
    }
    wishes.set("host", next.hostCopy ? this.#gpus.reduce((sum, { plan }) => sum + plan.weightsBytes, 0) : 0);
    const result = this.#ledger.hold(this.#owner, "VLLM::EngineCore", wishes);
    if (result.granted) this.#state = next;
    return result;
  }

  /** What a sleep now would release on each GPU, in bytes, and how much of it would lie in host memory then. */
  released(keepsWeights: boolean): readonly { readonly totalBytes: number; readonly backedUpBytes: number }[] {
    return this.#gpus.map(({ plan }) => {
      const { weightsBytes, kvCacheBytes } = movable(this.#state, plan);
      return { totalBytes: weightsBytes + kvCacheBytes, backedUpBytes: keepsWeights ? weightsBytes : 0 };
    });
  }

  /** Free memory of each of the engine's GPUs, whoever holds the rest. */
  freeBytes(): readonly { readonly gpu: Gpu; readonly freeBytes: number }[] {
    const { devices } = this.#ledger.snapshot();
    return this.#gpus.map(({ gpu }) => {
      const device = devices.find((one) => one.device === gpu.index);
      return { gpu, freeBytes: gpu.totalBytes - (device?.usedBytes ?? 0) };
    });
  }
}

/** What of one GPU comes and goes with sleep and wake, in bytes. */
function movable(
  state: MemoryState,
  plan: MemoryPlan,
): { readonly weightsBytes: number; readonly kvCacheBytes: number } {
  return {
    weightsBytes: isOnGpu(state.weights) ? plan.weightsBytes : 0,
    kvCacheBytes: state.kvCache === "on gpu" ? Math.max(0, plan.kvCacheBytes) : 0,
  };
}

function isOnGpu(weights: Weights): boolean {
  return weights === "loaded" || weights === "garbage";
}
