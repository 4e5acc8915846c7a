/** What vLLM's output tells: how far a start has come, and why it ended. */
import { milestones, type Milestone } from "./milestones.ts";

/** In the order of a start. */
const MILESTONES: readonly Milestone[] = [
  // Older versions say it in a line, newer ones in a banner of block characters.
  { pattern: /vLLM API server version|[▀▄█].* version \d/, stage: "starting" },
  { pattern: /Initializing a V\d LLM engine/, stage: "initializing" },
  { pattern: /Starting to load model/, stage: "loading weights" },
  { pattern: /\bloading (?:\w+ )*checkpoint shards(?: \(\w+\))?:\s+(\d+)%/i, stage: "loading weights" },
  { pattern: /Model loading took/, stage: "weights loaded" },
  // Not every line with "torch.compile": one says that it is disabled.
  {
    pattern: /(?:Starting|for vLLM's) torch\.compile|torch\.compile (?:took|takes)|Dynamo bytecode transform/,
    stage: "compiling",
  },
  { pattern: /Available KV cache memory|KV cache size: [\d,]+ tokens/, stage: "reserving KV cache" },
  { pattern: /Capturing CUDA graphs?[^:]*:\s+(\d+)%/i, stage: "capturing graphs" },
  { pattern: /Graph capturing finished/, stage: "graphs captured" },
  { pattern: /Application startup complete/, stage: "ready" },
];

/** What a line says of a start's progress; null for any other line. */
export const parseProgress = milestones(MILESTONES);

// Built from its code so that no control character stands in this file.
const ESCAPE = String.fromCharCode(27);
const ANSI = new RegExp(
  `${ESCAPE}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${ESCAPE}\\u0007]*(?:\\u0007|${ESCAPE}\\\\)|[@-Z\\\\-_])`,
  "g",
);

/** Takes colours and cursor movements out of a line, and of a progress bar that rewrites itself keeps the last state. */
export function plainLine(line: string): string {
  const last = line.replace(/\r+$/, "").split("\r").at(-1) ?? "";
  return last.replace(ANSI, "");
}

/** What vLLM puts before a line: its process, and, where its logger wrote it, level, time and place in the source. */
const PREFIX = /^(?:\([^)]*pid=\d+\) ?)?(?:([A-Z]+) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]+\] )?/;

const ERROR = /\b\w*(?:Error|Exception)(?:: .|$)|\berror: ./;

/**
 * The line of an engine's last output that most likely says why it ended, without its prefix; empty when there is no output.
 * The more lines there are the better: a parent's traceback stands below the child's that matters.
 */
export function likelyCause(lines: readonly string[]): string {
  const spoken = spokenLines(lines);
  // What is logged as a warning may quote an error that did not happen.
  const errors = spoken.filter(({ level, text }) => (level === null || level === "ERROR") && ERROR.test(text));
  // vLLM's parent process only says that its child failed; the child's own error stands above.
  const own = errors.filter(({ text }) => !/Engine core initialization failed|See root cause above/.test(text));
  const cause = own.at(-1) ?? errors.at(-1) ?? spoken.at(-1);
  if (cause === undefined) return "";
  // The validation of settings puts a count there, and the reason on the line below.
  const isCount = /\d+ validation errors? for \w+$/.test(cause.text);
  const reason = isCount ? spoken[spoken.indexOf(cause) + 1] : undefined;
  return reason === undefined ? cause.text : `${cause.text}: ${reason.text}`;
}

/** A line without what vLLM puts before it; the level is null where its logger did not write it. */
export interface SpokenLine {
  readonly level: string | null;
  readonly text: string;
}

/** The lines that say something. */
export function spokenLines(lines: readonly string[]): readonly SpokenLine[] {
  return lines
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const match = PREFIX.exec(line);
      return { level: match?.[1] ?? null, text: line.slice(match?.[0].length ?? 0).trim() };
    });
}
