/** Many at once: who waits costs little, and nothing when he has gone. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ask, chat } from "./testing/client.ts";
import type { CrowdOrder } from "./testing/crowd-process.ts";
import { collectGarbage } from "./testing/garbage.ts";
import { createStage, until } from "./testing/stage.ts";

const REQUEST = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${chat("alpha").length}\r\n\r\n${chat("alpha")}`;

const CLIENTS = 10_000;

test("Ten thousand clients wait and hang up: the queue is empty at once, and the memory comes back", async (context) => {
  const stage = await createStage(context, { onBringUp: () => {} });
  const clients = fork(fileURLToPath(new URL("testing/crowd-process.ts", import.meta.url)));
  context.after(() => clients.disconnect());
  const tell = async (order: CrowdOrder): Promise<void> => {
    clients.send(order);
    assert.deepEqual(await once(clients, "message"), [order.kind, undefined]);
  };
  const crowd = async (): Promise<void> => {
    await tell({ kind: "come", port: stage.port, clients: CLIENTS, bytes: REQUEST });
    await until(() => stage.desk.waiting === CLIENTS, "all wait");
    await tell({ kind: "go" });
    await until(() => stage.desk.waiting === 0, "nobody waits");
    await until(() => stage.access.length === CLIENTS, "the records");
    assert.ok(stage.access.every(({ outcome }) => outcome === "abandoned"));
    stage.access.length = 0;
    stage.journal.length = 0;
  };
  await crowd();
  const before = await memory();
  await crowd();
  let after = await memory();
  for (let round = 0; round < 20 && after > before + 3_000_000; round += 1) after = await memory();
  assert.ok(after < before + 3_000_000, `${Math.round((after - before) / CLIENTS)} bytes a client are left`);
  const served = ask(stage);
  await until(() => stage.desk.waiting === 1, "one more waits");
  await stage.bringUp("alpha");
  assert.equal((await served).status, 200);
});

async function memory(): Promise<number> {
  collectGarbage();
  await new Promise((resolve) => void setTimeout(resolve, 100));
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
