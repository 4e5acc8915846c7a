/** Pinned models: that they fit together, and that whoever shares a GPU with them can be awake at all. */

import type { DeviceSpec } from "../core/model.ts";
import { formatByteSize } from "./byte-size.ts";
import type { Finding } from "./finding.ts";
import type { Placement, PlacementPlan, PlannedModel } from "./placement-plan.ts";

/** Checks every GPU of a plan that a pinned model is on. Of each model only the first trouble is told. */
export function pinFindings(models: readonly PlannedModel[], plan: PlacementPlan): Finding[] {
  const pinned = new Set(models.filter((model) => model.pinned).map(({ name }) => name));
  if (pinned.size === 0) return [];
  const findings = new Map<string, Finding>();
  for (const device of plan.devices) {
    const there = plan.placements.filter(({ devices }) => devices.includes(device.id));
    const pins = there.filter(({ model }) => pinned.has(model));
    const others = there.filter(({ model }) => !pinned.has(model));
    if (pins.length === 0) continue;
    for (const finding of [...pinsTogether(device, pins), ...othersBeside(device, pins, others)]) {
      const of = String(finding.path[1]);
      if (!findings.has(of)) findings.set(of, finding);
    }
  }
  return [...findings.values()];
}

/** Pinned models on one GPU. */
function pinsTogether(device: DeviceSpec, pins: readonly Placement[]): Finding[] {
  const last = pins.at(-1);
  if (pins.length < 2 || last === undefined) return [];
  const path = ["models", last.model, "pin"];
  const rule = `expected pinned models that fit together on GPU ${device.id}`;
  if (device.memoryBytes === null) {
    const message = `${rule}, found ${namesOf(pins)}, and the memory of the GPU is not known; ${WRITE_GPUS}`;
    return [{ severity: "error", path, message }];
  }
  const unknown = pins.filter(({ needBytes }) => needBytes === null);
  if (unknown.length > 0) return unknown.map(({ model }) => unknownNeed(device, model, pins));
  if (sumOf(pins) <= device.memoryBytes) return [];
  const message = `${rule} (${formatByteSize(device.memoryBytes)}), found ${sizesOf(pins)}: ${formatByteSize(sumOf(pins))}`;
  return [{ severity: "error", path, message }];
}

/** Models that are not pinned, on a GPU with some that are. */
function othersBeside(device: DeviceSpec, pins: readonly Placement[], others: readonly Placement[]): Finding[] {
  const { id, memoryBytes } = device;
  const verb = pins.length === 1 ? "is" : "are";
  const unmeasured = pins.find(({ needBytes }) => needBytes === null);
  const findings: Finding[] = others.flatMap((other): Finding[] => {
    const path = ["models", other.model];
    if (memoryBytes === null) {
      const message =
        `expected a GPU without pinned models, found that ${namesOf(pins)} ${verb} pinned on GPU ${id}, ` +
        `whose memory is not known, so that it can never be awake; ${WRITE_GPUS}`;
      return [{ severity: "error", path, onKey: true, message }];
    }
    if (other.needBytes === null) return [unknownNeed(device, other.model, pins)];
    // What does not fit together anyway is told of the pinned ones.
    const leftBytes = Math.max(0, memoryBytes - sumOf(pins));
    if (other.needBytes <= leftBytes || sumOf(pins) > memoryBytes) return [];
    const message =
      `expected room beside ${namesOf(pins)}, pinned on GPU ${id}, found ${formatByteSize(leftBytes)} left of ` +
      `${formatByteSize(memoryBytes)} and a need of ${formatByteSize(other.needBytes)}: it can never be awake`;
    return [{ severity: "error", path, onKey: true, message }];
  });
  if (memoryBytes === null || unmeasured === undefined || others.length === 0 || pins.length > 1) return findings;
  const message =
    `expected a size, since it is pinned on GPU ${id}, which ${namesOf(others)} ${others.length === 1 ? "uses" : "use"} too, ` +
    "found none: if it is measured to leave no room, nobody else there can ever be awake";
  return [...findings, { severity: "warning", path: ["models", unmeasured.model, "gpu_memory"], message }];
}

/** A model whose need is not known is awake alone until it is measured, and beside a pinned one it is never alone. */
function unknownNeed(device: DeviceSpec, model: string, pins: readonly Placement[]): Finding {
  const beside = pins.filter((pin) => pin.model !== model);
  const message =
    `expected a size, since ${namesOf(beside)} ${beside.length === 1 ? "is" : "are"} pinned on GPU ${device.id}, ` +
    "where it is too, found none, nor --gpu-memory-utilization in extra_args";
  return { severity: "error", path: ["models", model, "gpu_memory"], message };
}

const WRITE_GPUS = "write the key gpus, with the size of each GPU";

function sumOf(placements: readonly Placement[]): number {
  return placements.reduce((sum, { needBytes }) => sum + (needBytes ?? 0), 0);
}

function namesOf(placements: readonly Placement[]): string {
  return placements.map(({ model }) => model).join(" and ");
}

function sizesOf(placements: readonly Placement[]): string {
  return placements.map(({ model, needBytes }) => `${model} ${formatByteSize(needBytes ?? 0)}`).join(", ");
}
