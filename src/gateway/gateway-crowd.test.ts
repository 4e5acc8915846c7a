/** Many at once: who waits costs little, and nothing when he has gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, chat, RawClient } from "./testing/client.ts";
import { collectGarbage } from "./testing/garbage.ts";
import { createStage, until } from "./testing/stage.ts";

const REQUEST = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${chat("alpha").length}\r\n\r\n${chat("alpha")}`;

/** Both ends of each connection are open files of this process. */
const CLIENTS = 4_000;

test("Thousands of clients wait and hang up: the queue is empty at once, and the memory comes back", async (context) => {
  const stage = await createStage(context, { onBringUp: () => {} });
  const crowd = async (): Promise<void> => {
    const clients: RawClient[] = [];
    for (let index = 0; index < CLIENTS; index += 1) {
      const client = await RawClient.open(stage);
      client.socket.write(REQUEST);
      clients.push(client);
    }
    await until(() => stage.desk.waiting === CLIENTS, "all wait");
    for (const client of clients) client.socket.destroy();
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
