/** What vLLM's output tells: how far a start has come, and whether a sleep has freed memory. */
import type { StartProgress } from "../ports/engine-directory.ts";

const GIB = 1024 ** 3;

interface Milestone {
  readonly pattern: RegExp;
  readonly stage: string;
}

/** In the order of a start; a capture group, where there is one, is the percentage. */
const MILESTONES: readonly Milestone[] = [
  { pattern: /vLLM API server version/, stage: "starting" },
  { pattern: /Initializing a V\d LLM engine/, stage: "initializing" },
  { pattern: /Starting to load model/, stage: "loading weights" },
  { pattern: /Loading (?:\w+ )*checkpoint shards:\s+(\d+)%/, stage: "loading weights" },
  { pattern: /Model loading took/, stage: "weights loaded" },
  { pattern: /torch\.compile|Dynamo bytecode transform/, stage: "compiling" },
  { pattern: /Available KV cache memory|GPU KV cache size/, stage: "reserving KV cache" },
  { pattern: /Capturing CUDA graphs?[^:]*:\s+(\d+)%/i, stage: "capturing graphs" },
  { pattern: /Graph capturing finished/, stage: "graphs captured" },
  { pattern: /Application startup complete/, stage: "ready" },
];

/** What a line says of a start's progress; null for any other line. */
export function parseProgress(line: string): StartProgress | null {
  for (const { pattern, stage } of MILESTONES) {
    const match = pattern.exec(line);
    if (match !== null) return { stage, percent: match[1] === undefined ? null : Math.min(Number(match[1]), 100) };
  }
  return null;
}

/** How many bytes a sleep freed, by the line that each of vLLM's workers prints; null for any other line. */
export function parseFreedBytes(line: string): number | null {
  const match = /Sleep mode freed (-?[\d.]+) GiB memory/.exec(line);
  return match?.[1] === undefined ? null : Number(match[1]) * GIB;
}

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

/** The line of an engine's last output that most likely says why it ended; empty when there is no output. */
export function likelyCause(lines: readonly string[]): string {
  const spoken = lines.filter((line) => line.trim() !== "");
  const errors = spoken.filter((line) => /\b\w*(Error|Exception)\b: ./.test(line) || /\berror: ./.test(line));
  // vLLM's parent process only says that its child failed; the child's own error stands above.
  const own = errors.filter((line) => !/Engine core initialization failed|See root cause above/.test(line));
  return (own.at(-1) ?? errors.at(-1) ?? spoken.at(-1) ?? "").replace(/^\([^)]*pid=\d+\)\s*/, "").trim();
}
