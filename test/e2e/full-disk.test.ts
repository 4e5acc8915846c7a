/** A full disk under the state folder: logs stop, serving and switching go on. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import { test } from "node:test";
import { scenario } from "./support/scenario.ts";
import type { Setup } from "./support/stage.ts";

// The disk is a small one in memory that only llmux and its engines see: it is gone with the last of them.
const unshare = process.getuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-rm"];
const mount = 'mkdir -p "$1" && mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"';
const onSmallDisk = (folder: string): string[] => [...unshare, "sh", "-c", mount, "sh", folder];

const obstacle = whyNoDisk();
if (obstacle !== null) {
  test("a full disk under state_dir costs logs and no requests", {
    skip: `no small disk can be mounted here: ${obstacle}`,
  });
} else {
  const setup: Setup = { top: { nvidia_smi_command: ["mock-vllm", "nvidia-smi"] } };

  scenario("a full disk under state_dir costs logs and no requests", { ...setup, start: false }, async (stage) => {
    mkdirSync(stage.stateDir);
    const { pid } = await stage.start(onSmallDisk(stage.stateDir));
    const disk = `/proc/${pid}/root${stage.stateDir}`;
    stage.stateDir = disk;
    const first = await stage.client.ask("a");
    fill(`${disk}/ballast`);
    for (const name of ["a", "b", "c", "a", "b"]) assert.equal((await stage.client.ask(name)).status, 200, name);
    assert.equal((await stage.client.ask("a")).text, first.text);
    await stage.log.until("engine record not written", { model: "b" });
    const { apiPid } = await stage.engine("b");
    process.kill(-apiPid, "SIGKILL");
    await stage.log.until("engine crashed", { model: "b" });
    assert.equal((await stage.client.ask("b")).status, 200);
    const stream = await stage.client.stream("c", { tokens: 200 });
    assert.equal(await stream.ended, "complete");
    rmSync(`${disk}/ballast`);
    assert.equal((await stage.client.ask("a")).status, 200);
  });

  scenario(
    "a disk that is full before llmux starts is a reason not to start, in one sentence",
    { ...setup, start: false },
    async (stage) => {
      mkdirSync(stage.stateDir);
      const fillThenRun = ["sh", "-c", 'cat /dev/zero > "$1/ballast" 2>&-; shift; exec "$@"', "sh", stage.stateDir];
      const llmux = stage.launch(stage.writeConfig(), [...onSmallDisk(stage.stateDir), ...fillThenRun]);
      assert.deepEqual(await llmux.exited, { code: 1, signal: null });
      await llmux.log.ended;
      const [refusal] = llmux.log.all("not started");
      assert.equal(
        refusal?.["reason"],
        `state_dir ${stage.stateDir} cannot be used: ENOSPC: no space left on device, write`,
      );
    },
  );

  scenario(
    "an engine that frees nothing is found out on a full disk too, where only the GPU can tell",
    { ...setup, start: false },
    async (stage) => {
      mkdirSync(stage.stateDir);
      const { pid } = await stage.start(onSmallDisk(stage.stateDir));
      stage.stateDir = `/proc/${pid}/root${stage.stateDir}`;
      fill(`${stage.stateDir}/ballast`);
      await stage.client.ask("a");
      stage.order("a", { "sleep-frees-nothing": { times: 1 } });
      assert.equal((await stage.client.ask("b")).status, 200);
      const { reason } = await stage.log.until("sleep failed", { model: "a" });
      assert.match(String(reason), /still holds \d+ MiB of \d+ MiB on the GPU/);
    },
  );
}

function fill(path: string): void {
  const chunk = Buffer.alloc(4_096);
  try {
    for (;;) appendFileSync(path, chunk);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
}

function whyNoDisk(): string | null {
  const [program = "", ...args] = onSmallDisk("/tmp");
  const { status, stderr, error } = spawnSync(program, [...args, "true"], { encoding: "utf8" });
  if (error !== undefined) return error.message;
  return status === 0 ? null : stderr.trim();
}
