/** GPU memory as `nvidia-smi`, or a stand-in that prints the same, tells it. */
import { execFile } from "node:child_process";
import type { GpuMemory, GpuProbe } from "../ports/gpu-probe.ts";

const MIB = 1024 * 1024;

/** A driver that hangs must not hang us. */
const TIMEOUT_MS = 10_000;

/** `command`: the program and its leading arguments. */
export function nvidiaSmi(command: readonly string[], env: NodeJS.ProcessEnv): GpuProbe {
  return {
    async gpus() {
      const rows = await query(command, "--query-gpu=index,memory.total,memory.used", env);
      return rows === null ? null : parseGpus(rows);
    },
    async usedBytesBy(pids) {
      const rows = await query(command, "--query-compute-apps=pid,used_memory", env);
      return rows === null ? null : sumOf(rows, new Set(pids));
    },
  };
}

/** Rows of `index, total MiB, used MiB`; null when one of them is not that, as on GPUs that do not report memory. */
export function parseGpus(rows: readonly (readonly string[])[]): readonly GpuMemory[] | null {
  const gpus = rows.map(([index = "", total = "", used = ""]) => ({
    index,
    totalBytes: mebibytes(total),
    usedBytes: mebibytes(used),
  }));
  return gpus.length === 0 || gpus.some((gpu) => Number.isNaN(gpu.totalBytes + gpu.usedBytes)) ? null : gpus;
}

/** Rows of `pid, used MiB`. Null when the driver hides pids or figures, as in some containers. */
export function sumOf(rows: readonly (readonly string[])[], pids: ReadonlySet<number>): number | null {
  let sum = 0;
  for (const [pid = "", used = ""] of rows) {
    if (!pids.has(Number(pid))) continue;
    const bytes = mebibytes(used);
    if (Number.isNaN(bytes)) return null;
    sum += bytes;
  }
  return sum;
}

function mebibytes(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) * MIB : Number.NaN;
}

function query(command: readonly string[], what: string, env: NodeJS.ProcessEnv): Promise<string[][] | null> {
  const [program = "nvidia-smi", ...leading] = command;
  return new Promise((resolve) => {
    const args = [...leading, what, "--format=csv,noheader,nounits"];
    execFile(program, args, { timeout: TIMEOUT_MS, env }, (error, stdout) => {
      if (error !== null) return resolve(null);
      const lines = stdout.split("\n").filter((line) => line.trim() !== "");
      resolve(lines.map((line) => line.split(",").map((cell) => cell.trim())));
    });
  });
}
