import assert from "node:assert/strict";
import { test } from "node:test";
import type { LedgerSnapshot } from "./ledger-entries.ts";
import { gpuUuid } from "./gpus.ts";
import { gibBytes } from "./quantity.ts";
import { eventually, MockMachine } from "./started-mock.ts";

async function ledgerOf(machine: MockMachine): Promise<LedgerSnapshot> {
  return JSON.parse((await machine.run(["ledger", "--json"])).out) as LedgerSnapshot;
}

async function neverOverCommitted(machine: MockMachine): Promise<void> {
  for (const device of (await ledgerOf(machine)).devices) {
    assert.ok(device.totalBytes === null || device.highWaterBytes <= device.totalBytes, `device ${device.device}`);
  }
}

test("a start fails as vLLM's does when less is free than asked for, and succeeds once the other sleeps", async () => {
  await using machine = new MockMachine();
  const first = await machine.start();
  const second = await machine.start({ ready: false });
  assert.deepEqual(await second.exit, { code: 1, signal: null });
  assert.match(
    second.log,
    /ValueError: Free memory on device cuda:0 \(2\.40\/24\.00 GiB\) on startup is less than desired GPU memory utilization \(0\.9, 21\.60 GiB\)\. Decrease GPU memory utilization/,
  );
  assert.match(second.log, /RuntimeError: Engine core initialization failed\./);
  await first.post("/sleep?level=1");
  await machine.start({ model: "test/other-1B", args: ["--gpu-memory-utilization", "0.9"] });
  await neverOverCommitted(machine);
});

test("a wake fails with CUDA's out-of-memory body while others hold the memory, changes nothing, and works later", async () => {
  await using machine = new MockMachine();
  const first = await machine.start();
  await first.post("/sleep?level=1");
  const second = await machine.start();
  const { status, text } = await first.post("/wake_up");
  assert.equal(status, 500);
  assert.deepEqual(JSON.parse(text), {
    error: {
      message: "Call to wake_up method failed: CUDA Error: out of memory at /workspace/csrc/cumem_allocator.cpp:139",
      type: "InternalServerError",
      param: null,
      code: 500,
    },
  });
  assert.deepEqual(await first.get("/is_sleeping"), { is_sleeping: true });
  assert.equal((await ledgerOf(machine)).devices[0]?.refusals, 1);
  await second.post("/sleep?level=1");
  assert.equal((await first.post("/wake_up")).status, 200);
  assert.equal((await first.ask()).status, 200);
  await neverOverCommitted(machine);
});

test("memory of a killed engine is free at once", async () => {
  await using machine = new MockMachine();
  const first = await machine.start();
  first.killGroup();
  await first.exit;
  await eventually("EngineCore to be gone", async () => (await ledgerOf(machine)).holdings.length === 0);
  assert.equal((await (await machine.start()).ask()).status, 200);
});

test("two starts at the same moment never take more than there is: the loser dies, as from CUDA's out of memory", async () => {
  await using machine = new MockMachine();
  const args = ["--gpu-memory-utilization", "0.6"];
  const slow = { MOCK_VLLM_LOAD_MS: "300" };
  const mocks = await Promise.all([1, 2].map(() => machine.start({ args, env: slow, ready: false })));
  const ends = await Promise.race(mocks.map((mock) => mock.exit));
  assert.equal(ends.code, 1);
  const survivors = mocks.filter((mock) => mock.child.exitCode === null);
  assert.equal(survivors.length, 1);
  await survivors[0]?.ready();
  const loser = mocks.find((mock) => mock.child.exitCode !== null);
  assert.match(loser?.log ?? "", /CUDA out of memory|Free memory on device/);
  await neverOverCommitted(machine);
});

test("a model that does not fit says so", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ model: "org/big-14B", ready: false });
  assert.equal((await mock.exit).code, 1);
  assert.match(mock.log, /torch\.OutOfMemoryError: CUDA out of memory\. Tried to allocate 26\.08 GiB/);
  const tight = await machine.start({ env: { MOCK_VLLM_WEIGHTS: "21GiB" }, ready: false });
  assert.equal((await tight.exit).code, 1);
  assert.match(tight.log, /ValueError: No available memory for the cache blocks/);
});

test("tensor parallelism takes its share of every GPU, and CUDA_VISIBLE_DEVICES chooses them", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_GPUS: "0:8GiB,1:8GiB,2:8GiB" });
  const args = ["--tensor-parallel-size", "2", "--enable-sleep-mode", "--gpu-memory-utilization", "0.5"];
  const mock = await machine.start({ args, env: { CUDA_VISIBLE_DEVICES: "2,1", MOCK_VLLM_WEIGHTS: "2GiB" } });
  const used = (await ledgerOf(machine)).devices.map((device) => device.usedBytes);
  assert.deepEqual(used, [0, 4 * gibBytes, 4 * gibBytes, 0]);
  await mock.post("/sleep?level=1");
  assert.deepEqual((await ledgerOf(machine)).devices[3]?.usedBytes, 2 * gibBytes);
});

test("a start fails when another process releases memory while it profiles", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_RESIDUE: "0.5GiB" });
  const first = await machine.start({ args: ["--enable-sleep-mode", "--gpu-memory-utilization", "0.4"] });
  const second = await machine.start({
    args: ["--gpu-memory-utilization", "0.4"],
    env: { MOCK_VLLM_LOAD_MS: "1500" },
    ready: false,
  });
  await eventually("the second to load", () => second.log.includes("Starting to load model"));
  await first.post("/sleep?level=1");
  assert.equal((await second.exit).code, 1);
  assert.match(second.log, /AssertionError: Error in memory profiling\. Initial free memory/);
});

test("a sleep fails when another process takes memory meanwhile", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_WEIGHTS: "1GiB", MOCK_VLLM_RESIDUE: "1GiB" });
  const first = await machine.start({
    args: ["--enable-sleep-mode", "--gpu-memory-utilization", "0.1"],
    env: { MOCK_VLLM_SLEEP_MS: "3000" },
  });
  const sleeping = first.post("/sleep?level=1");
  await machine.start({ args: ["--gpu-memory-utilization", "0.5"] });
  const { status, text } = await sleeping;
  assert.equal(status, 500);
  assert.match(text, /Call to sleep method failed: Memory usage increased after sleeping\./);
});

test("level 1 fails with 500 when host memory does not suffice for the weights, and level 2 needs none", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_HOST_MEMORY: "1GiB", MOCK_VLLM_WEIGHTS: "2GiB" });
  const mock = await machine.start();
  const failed = await mock.post("/sleep?level=1");
  assert.equal(failed.status, 500);
  assert.match(failed.text, /Call to sleep method failed: CUDA error: out of memory/);
  assert.equal((await mock.post("/sleep?level=2")).status, 200);
  assert.equal((await ledgerOf(machine)).devices[1]?.usedBytes, 0);
});

test("a level-1 sleep holds the weights in host memory until the wake", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_WEIGHTS: "2GiB" });
  const mock = await machine.start();
  await mock.post("/sleep?level=1");
  assert.equal((await ledgerOf(machine)).devices[1]?.usedBytes, 2 * gibBytes);
  assert.equal((await ledgerOf(machine)).devices[0]?.usedBytes, gibBytes);
  await mock.post("/wake_up");
  assert.equal((await ledgerOf(machine)).devices[1]?.usedBytes, 0);
});

function fraction(share: string): readonly string[] {
  return ["--enable-sleep-mode", "--gpu-memory-utilization", share];
}

test("engines are awake together on one GPU as far as their fractions fit, and each sleeper keeps its residue", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_GPUS: "0:10GiB", MOCK_VLLM_RESIDUE: "0.5GiB" });
  const [first, second] = [
    await machine.start({ args: fraction("0.4") }),
    await machine.start({ args: fraction("0.35") }),
  ];
  const usedGib = async (): Promise<number> => ((await ledgerOf(machine)).devices[0]?.usedBytes ?? 0) / gibBytes;
  assert.equal(await usedGib(), 7.5);
  const third = await machine.start({ args: fraction("0.3"), ready: false });
  assert.equal((await third.exit).code, 1);
  assert.match(third.log, /Free memory on device cuda:0 \(2\.50\/10\.00 GiB\)/);
  await first.post("/sleep?level=1");
  assert.equal(await usedGib(), 4);
  await machine.start({ args: fraction("0.3") });
  await second.post("/sleep?level=2");
  assert.equal(await usedGib(), 4);
  await neverOverCommitted(machine);
});

test("nvidia-smi tells which process holds how much of which GPU", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_GPUS: "0:8GiB,1:8GiB,2:8GiB", MOCK_VLLM_WEIGHTS: "1GiB" });
  const args = ["--tensor-parallel-size", "2", "--gpu-memory-utilization", "0.5"];
  const { corePid } = await machine.start({ args, env: { CUDA_VISIBLE_DEVICES: "1,2" } });
  const other = await machine.start({ args: ["--gpu-memory-utilization", "0.25"], env: { CUDA_VISIBLE_DEVICES: "2" } });
  const query = ["nvidia-smi", "--query-compute-apps=gpu_uuid,pid,used_memory"];
  const rows = (await machine.run([...query, "--format=csv,noheader,nounits"])).out.trimEnd().split("\n");
  assert.deepEqual(rows.toSorted(), [
    `${gpuUuid(1)}, ${corePid}, 4096`,
    ...[`${gpuUuid(2)}, ${corePid}, 4096`, `${gpuUuid(2)}, ${other.corePid}, 2048`].toSorted(),
  ]);
});

test("nvidia-smi shows the ledger with EngineCore's pid", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const gpus = await machine.run([
    "nvidia-smi",
    "--query-gpu=index,uuid,memory.used,memory.free,memory.total,utilization.gpu",
    "--format=csv,noheader,nounits",
  ]);
  assert.equal(gpus.out, "0, GPU-00000000-0000-4000-8000-000000000000, 22118, 2458, 24576, 0\n");
  const apps = await machine.run([
    "nvidia-smi",
    "--query-compute-apps=pid,process_name,gpu_uuid,used_memory",
    "--format=csv,noheader",
  ]);
  assert.equal(apps.out, `${mock.corePid}, VLLM::EngineCore, GPU-00000000-0000-4000-8000-000000000000, 22118 MiB\n`);
  const wrong = await machine.run(["nvidia-smi", "--query-gpu=colour", "--format=csv"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /expected fields of index.*found "colour"/);
});

test("the ledger command shows holders, marks and the audit, and forgets marks on request", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  assert.match(
    (await machine.run(["ledger"])).out,
    new RegExp(`GPU 0: 21\\.6GiB of 24GiB used.*\\n  pid ${mock.corePid}  21\\.6GiB  VLLM::EngineCore`),
  );
  const { out } = await machine.run(["ledger", "--json", "--audit"]);
  const { audit } = JSON.parse(out) as { audit: { event: string; usedBytes: number }[] };
  assert.ok(audit.some((line) => line.event === "held" && line.usedBytes > 20 * gibBytes));
  await mock.post("/sleep");
  await machine.run(["ledger", "reset"]);
  assert.equal((await ledgerOf(machine)).devices[0]?.highWaterBytes, gibBytes);
});
