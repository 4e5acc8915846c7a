/** The status of a running llmux as people read it. */
import { duration } from "../control/duration-text.ts";
import type { ModelStatus, StatusDocument } from "../control/status.ts";
import { renderTable } from "./table.ts";

const COLUMNS = [
  { title: "MODEL", shrinkTo: 12 },
  { title: "STATE", shrinkTo: 10 },
  "SINCE",
  "QUEUE",
  "IN FLIGHT",
  "PID",
  "PORT",
  { title: "GPUS", shrinkTo: 4 },
];

/** A line about the whole, and a table of the models; `width` is that of the terminal, null where there is none. */
export function renderStatus(status: StatusDocument, width: number | null): string {
  const { version, pid, uptime_s, summary, models } = status;
  const head = `llmux ${version}, pid ${pid}, up ${duration(uptime_s * 1000)}: ${summary}\n`;
  return head + renderTable(COLUMNS, models.map(row), width);
}

/** The state of a model in words: `asleep (level 1)`, `starting, loading weights 50 %`, `failed, next try in 2s: why`. */
export function stateText(model: ModelStatus): string {
  const { state, level, reason, retry_in_s, progress } = model;
  switch (state) {
    case "asleep":
      return `asleep (level ${level})`;
    case "starting": {
      if (progress === null) return "starting";
      return `starting, ${progress.stage}${progress.percent === null ? "" : ` ${Math.round(progress.percent)} %`}`;
    }
    case "failed": {
      const next =
        (retry_in_s ?? 0) > 0 ? `next try in ${duration((retry_in_s ?? 0) * 1000)}` : "next try when asked for";
      return `failed, ${next}: ${reason}`;
    }
    case "stopping":
      return reason === null ? "stopping" : `stopping: ${reason}`;
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

function row(model: ModelStatus): readonly string[] {
  const oldest = model.oldest_wait_s === null ? "" : ` (${duration(model.oldest_wait_s * 1000)})`;
  return [
    model.id,
    stateText(model),
    duration(model.for_s * 1000),
    `${model.waiting}${oldest}`,
    String(model.in_flight),
    String(model.pid ?? "-"),
    String(model.port ?? "-"),
    model.devices.join(","),
  ];
}
