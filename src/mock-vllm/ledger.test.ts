import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Ledger } from "./ledger.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { processIdentity } from "./process-identity.ts";
import { gibBytes } from "./quantity.ts";

function temporaryDir(context: TestContext): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), "mock-ledger-"));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function myself(): ProcessIdentity {
  const identity = processIdentity(process.pid);
  assert.ok(identity);
  return identity;
}

/** A process that lives until it is killed, to hold memory in its name. */
async function bystander(context: TestContext): Promise<{ identity: ProcessIdentity; kill: () => Promise<void> }> {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  const exit = once(child, "exit");
  context.after(() => child.kill("SIGKILL"));
  const identity = processIdentity(child.pid ?? 0);
  assert.ok(identity);
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exit;
  };
  return { identity, kill };
}

test("a new ledger has one GPU of 24 GiB and host memory without a limit", (context) => {
  using ledger = Ledger.open(temporaryDir(context));
  assert.deepEqual(
    ledger.snapshot().devices.map(({ device, totalBytes, usedBytes }) => ({ device, totalBytes, usedBytes })),
    [
      { device: 0, totalBytes: 24 * gibBytes, usedBytes: 0 },
      { device: "host", totalBytes: Infinity, usedBytes: 0 },
    ],
  );
});

test("more than there is is refused, counted, and changes nothing", async (context) => {
  using ledger = Ledger.open(temporaryDir(context), { gpus: "0:10GiB,1:10GiB" });
  const other = await bystander(context);
  assert.deepEqual(ledger.hold(other.identity, "other", new Map([[1, 6 * gibBytes]])), { granted: true });
  const wish = new Map([
    [0, 5 * gibBytes],
    [1, 5 * gibBytes],
  ]);
  const result = ledger.hold(myself(), "mine", wish);
  assert.deepEqual(result, { granted: false, device: 1, wantedBytes: 5 * gibBytes, freeBytes: 4 * gibBytes });
  const [first, second] = ledger.snapshot().devices;
  assert.equal(first?.usedBytes, 0);
  assert.equal(second?.usedBytes, 6 * gibBytes);
  assert.equal(second.refusals, 1);
  assert.equal(second.highWaterBytes, 6 * gibBytes);
});

test("what a dead process held is free at once", async (context) => {
  using ledger = Ledger.open(temporaryDir(context));
  const other = await bystander(context);
  ledger.hold(other.identity, "other", new Map([[0, 20 * gibBytes]]));
  assert.equal(ledger.freeBytes(0), 4 * gibBytes);
  await other.kill();
  assert.equal(ledger.freeBytes(0), 24 * gibBytes);
  assert.deepEqual(
    ledger.audit().map(({ event, usedBytes }) => ({ event, usedBytes })),
    [
      { event: "held", usedBytes: 20 * gibBytes },
      { event: "process gone", usedBytes: 0 },
    ],
  );
});

test("a later process with the same pid is not taken for the holder", async (context) => {
  using ledger = Ledger.open(temporaryDir(context));
  const other = await bystander(context);
  ledger.hold({ pid: other.identity.pid, startTicks: "1" }, "long gone", new Map([[0, 20 * gibBytes]]));
  assert.equal(ledger.freeBytes(0), 24 * gibBytes);
});

test("other GPUs can be configured only while nobody holds memory on the old ones", async (context) => {
  const dir = temporaryDir(context);
  using ledger = Ledger.open(dir, { gpus: "0:8GiB" });
  const other = await bystander(context);
  ledger.hold(other.identity, "other", new Map([[0, gibBytes]]));
  assert.throws(() => Ledger.open(dir, { gpus: "0:16GiB" }), /expected the machine's GPUs \(0:8GiB\).*found 0:16GiB/s);
  await other.kill();
  using again = Ledger.open(dir, { gpus: "0:16GiB" });
  assert.deepEqual(again.gpus(), [{ index: 0, totalBytes: 16 * gibBytes }]);
});

test("host memory has a limit when one is set", (context) => {
  using ledger = Ledger.open(temporaryDir(context), { hostMemoryBytes: gibBytes });
  assert.equal(ledger.hold(myself(), "mine", new Map([["host", 2 * gibBytes]])).granted, false);
  assert.equal(ledger.hold(myself(), "mine", new Map([["host", gibBytes]])).granted, true);
});

test("a reset forgets marks and refusals and keeps what living processes hold", (context) => {
  using ledger = Ledger.open(temporaryDir(context));
  ledger.hold(myself(), "mine", new Map([[0, 20 * gibBytes]]));
  ledger.hold(myself(), "mine", new Map([[0, 25 * gibBytes]]));
  ledger.hold(myself(), "mine", new Map([[0, 2 * gibBytes]]));
  ledger.reset();
  const [gpu] = ledger.snapshot().devices;
  assert.deepEqual(gpu, {
    device: 0,
    totalBytes: 24 * gibBytes,
    usedBytes: 2 * gibBytes,
    highWaterBytes: 2 * gibBytes,
    refusals: 0,
  });
  assert.deepEqual(ledger.audit(), []);
});

const worker = `
  const { Ledger } = await import(${JSON.stringify(new URL("./ledger.ts", import.meta.url).href)});
  const { processIdentity } = await import(${JSON.stringify(new URL("./process-identity.ts", import.meta.url).href)});
  const ledger = Ledger.open(process.argv[1]);
  const me = processIdentity(process.pid);
  process.stdout.write("at work");
  for (;;) {
    ledger.hold(me, "worker", new Map([[0, 10 * 2 ** 30]]));
    ledger.hold(me, "worker", new Map([[0, 0]]));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }`;

test("processes that take and give and are killed while doing so never over-commit and never block the others", async (context) => {
  const dir = temporaryDir(context);
  using ledger = Ledger.open(dir, { gpus: "0:24GiB" });
  for (let round = 0; round < 3; round += 1) {
    const children = [1, 2, 3].map(() =>
      spawn(process.execPath, ["--input-type=module", "-e", worker, dir], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    for (const child of children) context.after(() => child.kill("SIGKILL"));
    await Promise.all(children.map((child) => once(child.stdout, "data")));
    // Some hundred changes by all of them, then the end in the middle of one.
    for (let looks = 0; looks < 50; looks += 1) ledger.snapshot();
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => once(child, "exit")));
    const startedAt = performance.now();
    assert.equal(ledger.freeBytes(0), 24 * gibBytes);
    assert.ok(performance.now() - startedAt < 2_000, "a killed holder's lock is free at once");
  }
  const [gpu] = ledger.snapshot().devices;
  assert.ok(gpu !== undefined && gpu.highWaterBytes <= 24 * gibBytes);
  assert.ok(ledger.audit().length > 100);
  assert.ok(ledger.audit().every((line) => line.usedBytes <= 24 * gibBytes));
});
