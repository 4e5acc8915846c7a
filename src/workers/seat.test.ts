import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { Seat } from "./seat.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

const ORDER = { what: "become idle" } as const;

/** A seat whose thread is a channel, and ends when the test says so. */
function setUp(context: TestContext) {
  const { port1: port, port2: worker } = new MessageChannel();
  context.after(() => port.close());
  const { promise: ended, resolve: end } = Promise.withResolvers<string>();
  const heard: FromWorker[] = [];
  const owner = { onMessage: (_seat: Seat, message: FromWorker) => void heard.push(message), onPrepare() {} };
  const thread = { port, ended, terminate() {} };
  return { worker, end, heard, seat: new Seat(owner, 0, thread, { ms: 0, epochMs: 0 }) };
}

test("Each order gets its own answer, in whatever order they come", async (context) => {
  const { worker, seat } = setUp(context);
  worker.on("message", (messages: readonly ToWorker[]) => {
    const answers = messages.flatMap((message): FromWorker[] => {
      if (message.kind !== "order") return [];
      const { question, order } = message;
      const isListen = order.what === "listen";
      return [{ kind: "done", question, result: isListen ? { kind: "failed", message: "taken" } : { kind: "done" } }];
    });
    worker.postMessage(answers.toReversed(), []);
  });
  const [listening, idle] = await Promise.allSettled([
    seat.order({ what: "listen", host: "127.0.0.1", port: 0 }),
    seat.order(ORDER),
  ]);
  assert.deepEqual(idle, { status: "fulfilled", value: { kind: "done" } });
  assert.deepEqual(listening, { status: "rejected", reason: new Error("taken") });
});

test("What a thread has said before its end is heard, its open orders fail with the reason, and later ones at once", async (context) => {
  const { worker, end, heard, seat } = setUp(context);
  const open = assert.rejects(seat.order(ORDER), { message: "it was killed" });
  worker.postMessage([{ kind: "surge over" }], []);
  end("it was killed");
  assert.equal(await seat.ended, "it was killed");
  assert.deepEqual(heard, [{ kind: "surge over" }]);
  await open;
  await assert.rejects(seat.order(ORDER), { message: "it was killed" });
});
