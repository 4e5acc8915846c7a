/** Which GPUs each model uses and how much of them, as soon as the GPUs and their memory are known; and what cannot work there. */

import { assert } from "../base/assert.ts";
import type { DeviceId, DeviceSpec } from "../core/model.ts";
import { formatByteSize } from "./byte-size.ts";
import type { GpuBudget, ModelConfig } from "./config.ts";
import type { Finding } from "./finding.ts";
import { pinFindings } from "./pin-findings.ts";

/** What a plan needs to know of a model. */
export type PlannedModel = Pick<
  ModelConfig,
  "name" | "gpus" | "parallelSize" | "gpuMemoryBytes" | "gpuMemoryUtilization" | "pinned"
>;

/** One model on its GPUs. */
export interface Placement {
  readonly model: string;
  /** At least one. */
  readonly devices: readonly DeviceId[];
  /** What its engine holds of each of them while it is awake; null = not known before it is measured. */
  readonly needBytes: number | null;
}

/** Where all models are. */
export interface PlacementPlan {
  /** Every GPU that there is, used or not; ids in ascending order. */
  readonly devices: readonly DeviceSpec[];
  /** In the order of the configuration. */
  readonly placements: readonly Placement[];
  /** What cannot work (errors: llmux must not start so) and what is probably not meant (warnings). */
  readonly findings: readonly Finding[];
}

/**
 * Plans for `gpus`, or, where nobody knows them (null), for the GPUs that the models name, with unknown memory; where none is named,
 * for one GPU "0". `gpus` is not empty.
 *
 * A model is on the GPUs that it names. One that names none gets as many as its parallelism asks for: pinned models first, then the
 * largest need first, then in the order of the configuration; each where most memory is still unclaimed, so that as many as
 * possible fit together, but not where it could never be awake if there is another choice. A need that is not known counts as a
 * whole GPU. The same input leads to the same plan, so that engines are where they were before a restart.
 */
export function planPlacement(models: readonly PlannedModel[], gpus: readonly GpuBudget[] | null): PlacementPlan {
  const onGpus = models.filter((model) => model.gpus === null || model.gpus.length > 0);
  const part = gpus === null ? planBlindly(onGpus) : planWithin(onGpus, gpus);
  const plan = { ...part, ...withGpuless(models, part) };
  return { ...plan, findings: [...plan.findings, ...pinFindings(models, plan)] };
}

/** Where a model is that uses no GPU: a place of its own, so that it neither waits for others nor makes them leave. */
const GPULESS = "no GPU: ";

/** Whether a device is the place of a model that uses no GPU. */
export function isGpuless(device: DeviceId): boolean {
  return device.startsWith(GPULESS);
}

/** Places for those that use no GPU, with everybody in the order of `models`. */
function withGpuless(
  models: readonly PlannedModel[],
  { devices, placements }: Pick<PlacementPlan, "devices" | "placements">,
): Pick<PlacementPlan, "devices" | "placements"> {
  const placed = new Map(placements.map((placement) => [placement.model, placement]));
  const all = models.map(({ name }): Placement => {
    return placed.get(name) ?? { model: name, devices: [GPULESS + name], needBytes: null };
  });
  const places = all.flatMap((placement) => placement.devices.filter(isGpuless));
  return { devices: [...devices, ...places.map((id) => ({ id, memoryBytes: null }))], placements: all };
}

/** The GPUs of a plan on which not all of their models fit together, so that one may have to leave for another. */
export function crowdedDevices({ devices, placements }: Omit<PlacementPlan, "findings">): ReadonlySet<DeviceId> {
  const crowded = devices.filter(({ id, memoryBytes }) => {
    const there = placements.filter((placement) => placement.devices.includes(id));
    const needBytes = there.reduce((sum, placement) => sum + (placement.needBytes ?? Number.POSITIVE_INFINITY), 0);
    return there.length > 1 && (memoryBytes === null || needBytes > memoryBytes);
  });
  return new Set(crowded.map(({ id }) => id));
}

function planBlindly(models: readonly PlannedModel[]): PlacementPlan {
  const named = [...new Set(models.flatMap((model) => model.gpus ?? []))].toSorted((a, b) => a - b).map(String);
  const all = named.length === 0 ? ["0"] : named;
  return {
    devices: all.map((id) => ({ id, memoryBytes: null })),
    placements: models.map(({ name, gpus, gpuMemoryBytes }) => ({
      model: name,
      devices: gpus === null ? all : gpus.map(String),
      needBytes: gpuMemoryBytes,
    })),
    findings: [],
  };
}

/** A GPU while models are being placed. */
interface Room {
  readonly id: DeviceId;
  readonly memoryBytes: number;
  /** By all models on it; more than there is when they have to take turns. */
  claimedBytes: number;
  /** By pinned models on it. */
  pinnedBytes: number;
}

function planWithin(models: readonly PlannedModel[], gpus: readonly GpuBudget[]): PlacementPlan {
  assert(gpus.length > 0, "a plan for no GPU at all");
  const rooms: Room[] = gpus
    .map(({ id, memoryBytes }) => ({ id, memoryBytes, claimedBytes: 0, pinnedBytes: 0 }))
    .toSorted((a, b) => Number(a.id) - Number(b.id));
  const findings: Finding[] = [];
  const chosen = new Map<string, readonly Room[]>();
  const settle = (model: PlannedModel, its: readonly Room[]): void => {
    claim(model, its);
    chosen.set(model.name, its);
  };
  for (const model of models) {
    if (model.gpus === null) continue;
    findings.push(...absentGpus(model, model.gpus, rooms));
    const ids = new Set(model.gpus.map(String));
    settle(
      model,
      rooms.filter(({ id }) => ids.has(id)),
    );
  }
  for (const model of inOrderOfChoice(models, rooms)) settle(model, bestRooms(model, rooms));

  const placements = models.map((model) => {
    const its = chosen.get(model.name) ?? [];
    findings.push(...sizeFindings(model, its, rooms));
    const devices = model.gpus?.map(String) ?? its.map(({ id }) => id);
    return { model: model.name, devices, needBytes: needOn(model, its) };
  });
  const devices = rooms.map(({ id, memoryBytes }) => ({ id, memoryBytes }));
  return { devices, placements, findings };
}

/** What a model holds of each of `rooms`, in bytes; null if that is not known. */
function needOn({ gpuMemoryBytes, gpuMemoryUtilization }: PlannedModel, rooms: readonly Room[]): number | null {
  if (gpuMemoryBytes !== null) return gpuMemoryBytes;
  if (gpuMemoryUtilization === null || rooms.length === 0) return null;
  return Math.floor(gpuMemoryUtilization * Math.min(...rooms.map(({ memoryBytes }) => memoryBytes)));
}

/** The same on one GPU; all of it where it is not known. */
function claimOn(model: PlannedModel, room: Room): number {
  return needOn(model, [room]) ?? room.memoryBytes;
}

function claim(model: PlannedModel, rooms: readonly Room[]): void {
  for (const room of rooms) {
    room.claimedBytes += claimOn(model, room);
    if (model.pinned) room.pinnedBytes += claimOn(model, room);
  }
}

function inOrderOfChoice(models: readonly PlannedModel[], rooms: readonly Room[]): readonly PlannedModel[] {
  const largest = (model: PlannedModel): number => Math.max(...rooms.map((room) => claimOn(model, room)));
  return models
    .filter(({ gpus }) => gpus === null)
    .toSorted((a, b) => Number(b.pinned) - Number(a.pinned) || largest(b) - largest(a));
}

/** As many GPUs as the model needs, or all if there are not that many; in ascending order of their ids. */
function bestRooms(model: PlannedModel, rooms: readonly Room[]): readonly Room[] {
  /** 0: it can be awake there; 1: only without the pinned ones; 2: not at all. */
  const obstacle = (room: Room): number => {
    const needBytes = claimOn(model, room);
    if (needBytes > room.memoryBytes) return 2;
    return needBytes > room.memoryBytes - room.pinnedBytes ? 1 : 0;
  };
  const unclaimed = (room: Room): number => room.memoryBytes - room.claimedBytes;
  const best = rooms.toSorted((a, b) => obstacle(a) - obstacle(b) || unclaimed(b) - unclaimed(a));
  const taken = new Set(best.slice(0, model.parallelSize));
  return rooms.filter((room) => taken.has(room));
}

function absentGpus(model: PlannedModel, gpus: readonly number[], rooms: readonly Room[]): Finding[] {
  return gpus.flatMap((gpu, index) => {
    if (rooms.some(({ id }) => id === String(gpu))) return [];
    const message = `expected ${namesOf(rooms, "or")}, found ${gpu}: there is no such GPU`;
    return [{ severity: "error" as const, path: ["models", model.name, "gpus", index], message }];
  });
}

/** Whether the model has enough GPUs, and they enough memory. */
function sizeFindings(model: PlannedModel, its: readonly Room[], rooms: readonly Room[]): Finding[] {
  const { name, gpus, parallelSize, gpuMemoryBytes } = model;
  if (gpus === null && parallelSize > rooms.length) {
    const message =
      `expected parallelism over at most ${countOf(rooms.length)}, found that it asks for ${parallelSize} ` +
      `(tensor × pipeline × data parallelism); there ${rooms.length === 1 ? "is" : "are"} ${namesOf(rooms, "and")}`;
    return [{ severity: "error", path: ["models", name, "extra_args"], message }];
  }
  if (gpuMemoryBytes === null) return [];
  const path = ["models", name, "gpu_memory"];
  const small = its.filter(({ memoryBytes }) => memoryBytes < gpuMemoryBytes);
  if (small.length === 0) return disagreementFindings(model, its, path);
  const choice = parallelSize === 1 ? "one of " : `${parallelSize} of `;
  const where =
    gpus === null && rooms.length > its.length
      ? `${choice}${rooms.map(sizeOf).join(", ")}`
      : small.map(sizeOf).join(" and ");
  const message = `expected a need that fits on ${where}, found ${formatByteSize(gpuMemoryBytes)}`;
  return [{ severity: "error", path, message }];
}

/** The engine goes by its own flag, whatever `gpu_memory` says. */
function disagreementFindings(model: PlannedModel, its: readonly Room[], path: readonly string[]): Finding[] {
  const { gpuMemoryBytes, gpuMemoryUtilization } = model;
  const takenBytes = needOn({ ...model, gpuMemoryBytes: null }, its);
  if (gpuMemoryBytes === null || takenBytes === null) return [];
  if (Math.abs(takenBytes - gpuMemoryBytes) <= DISAGREEMENT_SHARE_MAX * takenBytes) return [];
  const message =
    `expected about ${formatByteSize(takenBytes)}, which the engine takes of ${its.map(sizeOf).join(", ")} ` +
    `by --gpu-memory-utilization ${gpuMemoryUtilization}, found ${formatByteSize(gpuMemoryBytes)}`;
  return [{ severity: "warning", path, message }];
}

/** How far what is written may be from what the engine is told to take. Engines hold some memory beyond their share. */
const DISAGREEMENT_SHARE_MAX = 0.1;

function sizeOf({ id, memoryBytes }: Room): string {
  return `GPU ${id} (${formatByteSize(memoryBytes)})`;
}

function countOf(gpus: number): string {
  return gpus === 1 ? "1 GPU" : `${gpus} GPUs`;
}

/** `GPU 0`, `GPU 0 or 1`, `GPU 0, 1 or 2`. */
function namesOf(rooms: readonly Room[], conjunction: "and" | "or"): string {
  const ids = rooms.map(({ id }) => id);
  const last = ids.pop() ?? "";
  return ids.length === 0 ? `GPU ${last}` : `GPU ${ids.join(", ")} ${conjunction} ${last}`;
}
