/** Models for machines whose memory is counted. */
import type { ModelSetup } from "./stage.ts";

/** One GiB in bytes. */
export const GIB = 2 ** 30;

/** One pretend GPU of 24 GiB, and a configuration that knows its size. */
export const ONE_GPU = { gpus: "0:24GiB", top: { gpus: { 0: "24GiB" } } } as const;

/** Bounded wait, as it is when nothing is said. */
export const BOUNDED = { policy_type: "bounded-wait" } as const;

/** A model whose engine takes this share of each of its GPUs, and tells llmux so in its arguments. */
export function taking(share: number, rest: ModelSetup = {}): ModelSetup {
  const { extra_args: more = [], ...keys } = rest;
  return { extra_args: ["--gpu-memory-utilization", String(share), ...(more as string[])], ...keys };
}
