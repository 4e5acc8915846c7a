/** GPU memory as `nvidia-smi`, or a stand-in that prints the same, tells it. */
import { spawn } from "node:child_process";
import type { GpuMemory, GpuProbe, GpuShare } from "../ports/gpu-probe.ts";

const MIB = 1024 * 1024;

/** A driver that hangs must not hang us. */
const TIMEOUT_MS = 10_000;

/** What prints more than this is another program. */
const OUTPUT_BYTES_MAX = 1024 ** 2;

/** `command`: the program and its leading arguments. Whatever it does, an answer comes within `timeoutMs`. */
export function nvidiaSmi(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  timeoutMs: number = TIMEOUT_MS,
): GpuProbe {
  const query = async (what: string): Promise<string[][] | null> => {
    const text = await outputOf([...command, what, "--format=csv,noheader,nounits"], env, timeoutMs);
    return text === null ? null : cellsOf(text);
  };
  const sharesOf = async (pids: readonly number[]): Promise<readonly GpuShare[] | null> => {
    const rows = await query("--query-compute-apps=gpu_uuid,pid,used_memory");
    return rows === null ? null : parseShares(rows, new Set(pids));
  };
  return {
    async gpus() {
      const rows = await query("--query-gpu=index,memory.total,memory.used");
      return rows === null ? null : parseGpus(rows);
    },
    async usedBytesBy(pids) {
      const shares = await sharesOf(pids);
      return shares === null ? null : shares.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
    },
    sharesOf,
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

/** Rows of `uuid, pid, used MiB`. Null when the driver hides pids or figures, as in some containers. */
export function parseShares(
  rows: readonly (readonly string[])[],
  pids: ReadonlySet<number>,
): readonly GpuShare[] | null {
  const usedBytes = new Map<string, number>();
  for (const [uuid = "", pid = "", used = ""] of rows) {
    if (!pids.has(Number(pid))) continue;
    const bytes = mebibytes(used);
    if (Number.isNaN(bytes)) return null;
    usedBytes.set(uuid, (usedBytes.get(uuid) ?? 0) + bytes);
  }
  return Array.from(usedBytes, ([uuid, bytes]) => ({ uuid, usedBytes: bytes }));
}

function mebibytes(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) * MIB : Number.NaN;
}

function cellsOf(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => line.split(",").map((cell) => cell.trim()));
}

/** What the program prints; null when it cannot be started, fails, or takes too long. Never rejects. */
function outputOf(command: readonly string[], env: NodeJS.ProcessEnv, timeoutMs: number): Promise<string | null> {
  const [program = "nvidia-smi", ...args] = command;
  return new Promise((resolve) => {
    let child;
    try {
      // In a group of its own, so that a wrapper and what it has started can be ended together.
      child = spawn(program, args, { env, detached: true, stdio: ["ignore", "pipe", "ignore"] });
    } catch {
      return resolve(null);
    }
    const { pid, stdout } = child;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (text: string | null): void => {
      clearTimeout(timer);
      resolve(text);
    };
    const giveUp = (): void => {
      if (pid !== undefined) killGroup(pid);
      // A program that hangs in the driver does not end even so: nothing of it may keep us waiting, or from ending.
      stdout.destroy();
      child.unref();
      settle(null);
    };
    const timer = setTimeout(giveUp, timeoutMs);
    stdout.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > OUTPUT_BYTES_MAX) giveUp();
    });
    child.once("error", () => settle(null));
    child.once("close", (exitCode) => settle(exitCode === 0 ? Buffer.concat(chunks).toString() : null));
  });
}

function killGroup(leaderPid: number): void {
  try {
    process.kill(-leaderPid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
