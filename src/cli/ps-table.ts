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

/**
 * A line about the whole, a table of the models, and what went wrong with those where something did; `width` is that of the
 * terminal, null where there is none.
 */
export function renderStatus(status: StatusDocument, width: number | null): string {
  const { version, pid, uptime_s, summary, models } = status;
  const head = `llmux ${version}, pid ${pid}, up ${duration(uptime_s * 1000)}: ${summary}\n`;
  const stories = models.flatMap((model) => story(model) ?? []);
  const told = stories.length === 0 ? "" : `\n${stories.map((line) => `${wrapped(line, width)}\n`).join("")}`;
  return head + renderTable(COLUMNS, models.map(row), width) + told;
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

/** Cut into lines that fit, further ones set in. Words are not kept whole: paths and messages have few blanks. */
function wrapped(text: string, width: number | null): string {
  const clean = text.replaceAll(/\s+/g, " ");
  if (width === null || clean.length <= width) return clean;
  const rest = Math.max(width - 2, 1);
  const lines = [clean.slice(0, width)];
  for (let at = width; at < clean.length; at += rest) lines.push(`  ${clean.slice(at, at + rest)}`);
  return lines.join("\n");
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
