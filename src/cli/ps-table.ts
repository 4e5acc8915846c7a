/** The status of a running llmux as people read it. */
import { formatByteSize } from "../config/byte-size.ts";
import { duration } from "../control/duration-text.ts";
import type { GpuStatus, ModelStatus, StatusDocument } from "../control/status.ts";
import { type Column, renderTable } from "./table.ts";
import { wrapped } from "./wrapped.ts";

const COLUMNS: readonly Column[] = [
  { title: "MODEL", shrinkTo: 12 },
  { title: "STATE", shrinkTo: 10 },
  "SINCE",
  "QUEUE",
  "IN FLIGHT",
  "WAIT MAX",
  { title: "GPUS", shrinkTo: 4 },
  "NEED",
  { title: "PID", mayGo: true },
  { title: "PORT", mayGo: true },
];

/**
 * A line about the whole, one about memory, a table of the models, and what is worth a word; `width` is that of the terminal, null
 * where there is none.
 */
export function renderStatus(status: StatusDocument, width: number | null): string {
  const { version, pid, uptime_s, summary, models } = status;
  const head = [`llmux ${version}, pid ${pid}, up ${duration(uptime_s * 1000)}: ${summary}`, memoryText(status)];
  const notes = [...models.flatMap((model) => story(model) ?? []), ...promiseText(status)];
  const lines = (texts: readonly string[]): string => texts.map((text) => `${wrapped(text, width)}\n`).join("");
  const table = renderTable(COLUMNS, models.map(row), width);
  return lines(head) + table + (notes.length === 0 ? "" : `\n${lines(notes)}`);
}

/** `GPU 0: 6.4 GiB of 8 GiB, GPU 1: 0 B of 8 GiB; asleep in host memory: 4 GiB of 64 GiB`. */
function memoryText({ gpus, models, host_memory_for_sleep: { budget_bytes, used_bytes } }: StatusDocument): string {
  const known = gpus.some(({ memory_bytes }) => memory_bytes !== null);
  const gpuTexts = known
    ? gpus.map((gpu) => gpuText(gpu, models)).join(", ")
    : "GPU memory: size not known, so each GPU has one model awake at a time";
  const budget = budget_bytes === null ? "" : ` of ${formatByteSize(budget_bytes)}`;
  return `${gpuTexts}; asleep in host memory: ${formatByteSize(used_bytes)}${budget}`;
}

function gpuText({ id, memory_bytes, used_bytes }: GpuStatus, models: readonly ModelStatus[]): string {
  const isVague = models.some(({ state, devices, memory }) => {
    return memory.need_bytes === null && devices.includes(id) && (state === "awake" || state === "draining");
  });
  const used = `${isVague ? "at least " : ""}${formatByteSize(used_bytes)}`;
  return `GPU ${id}: ${used} of ${memory_bytes === null ? "unknown size" : formatByteSize(memory_bytes)}`;
}

function promiseText({ no_bound_because, request_timeout_s }: StatusDocument): readonly string[] {
  if (no_bound_because === null) return [];
  const timeout = duration(request_timeout_s * 1000);
  return [`no bound on waiting: ${no_bound_because}; a request that has waited ${timeout} gets 504`];
}

/** The state of a model in words: `asleep (level 1)`, `starting, loading weights 50 %`, `failed, next try in 2s`. */
export function stateText(model: ModelStatus): string {
  const { state, level, retry_in_s, progress } = model;
  switch (state) {
    case "asleep":
      return `asleep (level ${level})`;
    case "starting": {
      if (progress === null) return "starting";
      return `starting, ${progress.stage}${progress.percent === null ? "" : ` ${Math.round(progress.percent)} %`}`;
    }
    case "failed": {
      const waitS = retry_in_s ?? 0;
      return `failed, next try ${waitS > 0 ? `in ${duration(waitS * 1000)}` : "when asked for"}`;
    }
    case "stopping":
    case "stopped":
    case "awake":
    case "draining":
    case "falling asleep":
    case "waking":
      return state;
  }
  // A newer llmux may know states that this one does not.
  return String(state satisfies never);
}

/** Why a model is as it is, or what happened to it last if it has not served since; null when all is well. */
function story({ id, reason, failures_in_row, last_failure }: ModelStatus): string | null {
  if (reason !== null) return `${id}: ${reason}`;
  return failures_in_row > 0 && last_failure !== null ? `${id}: last failure: ${last_failure.message}` : null;
}

function row(model: ModelStatus): readonly string[] {
  const { waiting, oldest_wait_s, in_flight, suspended, wait_bound_s, waits_at_most_s, memory } = model;
  const oldest = oldest_wait_s === null ? "" : ` (${duration(oldest_wait_s * 1000)})`;
  return [
    model.id,
    [stateText(model), ...rank(model)].join(", "),
    duration(model.for_s * 1000),
    `${waiting}${oldest}`,
    suspended > 0 ? `${suspended} suspended` : String(in_flight),
    wait_bound_s === null ? "no bound" : duration(waits_at_most_s * 1000),
    model.devices.join(","),
    memory.need_bytes === null ? "?" : formatByteSize(memory.need_bytes),
    String(model.pid ?? "-"),
    String(model.port ?? "-"),
  ];
}

/** What sets it apart from most models. */
function rank({ pinned, priority }: ModelStatus): readonly string[] {
  return [...(pinned ? ["pinned"] : []), ...(priority === "normal" ? [] : [`${priority} priority`])];
}
