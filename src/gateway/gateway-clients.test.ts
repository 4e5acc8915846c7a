import assert from "node:assert/strict";
import { Agent } from "node:http";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import type { Dispatcher } from "undici";
import { ask, chat, json, open, RawClient } from "./testing/client.ts";
import { createStage, until, type Stage } from "./testing/stage.ts";

function modelOf(stage: Stage, id: string): { readonly waiting: number; readonly inFlight: number } {
  const model = stage.scheduler.snapshot().models.find((one) => one.id === id);
  assert.ok(model !== undefined);
  return model;
}

test("A client that leaves while it waits leaves the queue, and the start that others wait for goes on", async (context) => {
  const stage = await createStage(context, { onBringUp: () => {} });
  const leaver = await RawClient.open(stage);
  leaver.send("POST", "/v1/chat/completions", chat("alpha"));
  const stayer = ask(stage);
  await until(() => modelOf(stage, "alpha").waiting === 2, "both wait");
  leaver.socket.destroy();
  await until(() => modelOf(stage, "alpha").waiting === 1, "one has left");
  await stage.bringUp("alpha");
  assert.equal((await stayer).status, 200);
  assert.equal(stage.engine("alpha").received.length, 1);
  assert.deepEqual(stage.asked, ["start alpha"]);
  const left = stage.access.find(({ outcome }) => outcome === "abandoned");
  assert.equal(left?.status, 499);
  assert.equal(left?.model, "alpha");
});

test("A client that half-closes its connection counts as gone", async (context) => {
  const stage = await createStage(context, { onBringUp: () => {} });
  const client = await RawClient.open(stage);
  client.send("POST", "/v1/chat/completions", chat("alpha"));
  await until(() => modelOf(stage, "alpha").waiting === 1, "it waits");
  client.socket.end();
  await until(() => modelOf(stage, "alpha").waiting === 0, "it has left");
});

for (const [moment, begin] of [
  ["before the first byte", (): void => {}],
  ["in the middle of a stream", (response: ServerResponse): void => void response.write("data: 1\n\n")],
] as const) {
  test(`A client that leaves ${moment} frees the engine at once, and its lease with it`, async (context) => {
    const stage = await createStage(context);
    let seen = false;
    stage.engine("alpha").handler = (response) => {
      response.on("close", () => (seen = !response.writableFinished));
      response.setHeader("content-type", "text/event-stream");
      begin(response);
    };
    const client = await RawClient.open(stage);
    client.send("POST", "/v1/chat/completions", chat("alpha"));
    await until(() => stage.engine("alpha").received.length === 1, "the engine has the request");
    if (moment !== "before the first byte") await client.until(/data: 1/);
    client.socket.destroy();
    await until(() => seen, "the engine sees the end");
    await until(() => stage.access.length === 1, "the record");
    assert.deepEqual([stage.access[0]?.outcome, stage.access[0]?.status], ["abandoned", 499]);
    const released = stage.journal.find(({ kind }) => kind === "lease released");
    assert.ok(released?.kind === "lease released" && released.outcome === "abandoned");
    assert.equal(stage.engine("alpha").received.length, 1);
  });
}

test("A client that leaves before its request had a connection to the engine is never heard of there", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").connectionsMax = 1;
  stage.engine("alpha").handler = () => {};
  const first = ask(stage, { body: chat("alpha", { n: 1 }) });
  await until(() => stage.engine("alpha").received.length === 1, "the first has the only connection");
  const leaver = await RawClient.open(stage);
  leaver.send("POST", "/v1/completions", chat("alpha", { n: 2 }));
  await until(() => stage.desk.leasesOut === 2, "the second has a lease");
  leaver.socket.destroy();
  await until(() => stage.desk.leasesOut === 1, "the second has given it back");
  stage.engine("alpha").handler = (response) => response.end("after");
  stage.engine("alpha").openResponses[0]?.end("first");
  assert.equal((await first).body.toString(), "first");
  assert.equal((await ask(stage, { body: chat("alpha", { n: 3 }) })).body.toString(), "after");
  const bodies = stage.engine("alpha").received.map(({ body }) => body.toString());
  assert.deepEqual(bodies, [chat("alpha", { n: 1 }), chat("alpha", { n: 3 })]);
});

test("A client that stops reading stalls its own engine stream only, in bounded memory", async (context) => {
  const stage = await createStage(context);
  let written = 0;
  let isStalled = false;
  const total = 64 * 1_048_576;
  const chunk = Buffer.alloc(65_536, "x");
  stage.engine("alpha").handler = (response, received) => {
    if (!received.body.includes('"slow"')) return response.end("quick");
    response.setHeader("content-type", "text/event-stream");
    const more = (): void => {
      isStalled = false;
      while (written < total) {
        written += chunk.length;
        if (!response.write(chunk)) {
          isStalled = true;
          return void response.once("drain", more);
        }
      }
      response.end();
    };
    return more();
  };
  const answer = await open(stage, { body: chat("alpha", { user: "slow" }) });
  answer.pause();
  const isStill = async (): Promise<boolean> => {
    const before = written;
    // Others are served meanwhile, and give a stream that could go on ample time to do so.
    for (let round = 0; round < 20; round += 1) assert.equal((await ask(stage)).body.toString(), "quick");
    return isStalled && written === before;
  };
  while (!(await isStill())) assert.ok(written < total, "the engine was never held back");
  // The kernel's buffers on both sides hold most of it.
  assert.ok(written < total / 2, `the engine could write ${written} bytes`);
  let read = 0;
  answer.on("data", (data: Buffer) => (read += data.length)).resume();
  await until(() => answer.complete, "the rest, once the client reads again");
  assert.equal(read, total);
});

test("A client that stopped reading and then leaves frees its engine too", async (context) => {
  const stage = await createStage(context);
  let isGone = false;
  stage.engine("alpha").handler = (response) => {
    response.on("close", () => (isGone = true));
    const more = (): void => {
      while (response.write(Buffer.alloc(65_536)));
      response.once("drain", more);
    };
    more();
  };
  const answer = await open(stage);
  answer.pause();
  await until(() => stage.engine("alpha").openResponses[0]?.writableNeedDrain === true, "the stall");
  answer.destroy();
  await until(() => isGone, "the engine sees the end");
});

test("A hundred cold requests cause one start and are all served", async (context) => {
  const stage = await createStage(context);
  const replies = await Promise.all(
    Array.from({ length: 100 }, (_, index) => ask(stage, { body: chat("alpha", { index }) })),
  );
  replies.forEach((reply, index) => assert.equal(reply.body.toString(), chat("alpha", { index })));
  assert.deepEqual(stage.asked, ["start alpha"]);
});

test("A hundred requests for two models that take turns are all served", async (context) => {
  const stage = await createStage(context);
  const models = Array.from({ length: 100 }, (_, index) => (index % 3 === 0 ? "org/beta" : "alpha"));
  const replies = await Promise.all(models.map((model) => ask(stage, { body: chat(model) })));
  replies.forEach((reply, index) => assert.equal(reply.body.toString(), chat(models[index] ?? "")));
  assert.equal(stage.engine("alpha").received.length, 66);
  await until(() => stage.access.length === 100, "the records");
});

test("Requests on one connection, one after the other and all at once, are answered in order", async (context) => {
  const stage = await createStage(context);
  const client = await RawClient.open(stage);
  client.send("POST", "/v1/completions", chat("alpha", { n: 1 }));
  await client.until(/"n":1}$/);
  for (const n of [2, 3, 4]) client.send("POST", "/v1/completions", chat("alpha", { n }));
  await client.until(/"n":2}[^]*"n":3}[^]*"n":4}$/);
  assert.equal(client.received.match(/HTTP\/1\.1 200 OK/g)?.length, 4);
});

test("A pipelined request is not begun before the one before it is answered, so it holds nothing against it", async (context) => {
  const stage = await createStage(context, { minActiveMs: 100 });
  await ask(stage);
  const client = await RawClient.open(stage);
  // The first has to wait until alpha has been awake for long enough.
  client.send("POST", "/v1/completions", chat("org/beta", { n: 1 }));
  client.send("POST", "/v1/completions", chat("alpha", { n: 2 }));
  await until(() => stage.engine("org/beta").received.length === 1, "beta has the first one");
  assert.equal(stage.engine("alpha").received.length, 1);
  await client.until(/"n":1}[^]*"n":2}$/);
});

test("Clients that pipeline and leave take all their requests with them", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => void response.write("begun");
  const client = await RawClient.open(stage);
  for (const n of [1, 2, 3]) client.send("POST", "/v1/completions", chat("alpha", { n }));
  await client.until(/begun/);
  client.socket.destroy();
  await until(() => stage.engine("alpha").openResponses.length === 0, "none is with the engine any more");
  await until(() => stage.access.length === 1, "the record");
  assert.equal(stage.engine("alpha").received.length, 1);
  stage.engine("alpha").handler = (response) => void response.end("{}");
  assert.equal((await ask(stage)).status, 200);
  assert.equal(stage.engine("alpha").received.length, 2);
});

test("A client that floods its connection while it waits, and leaves, does not keep its engine", async (context) => {
  const stage = await createStage(context, { limits: { timeoutCheckMs: 20 } });
  stage.engine("alpha").handler = () => {};
  for (const pieces of [2, 100]) {
    const client = await RawClient.open(stage);
    client.send("POST", "/v1/completions", chat("alpha"));
    await until(() => stage.engine("alpha").openResponses.length === 1, "the engine has it");
    for (let left = pieces; left > 0; left -= 1) client.socket.write("x".repeat(50_000));
    client.socket.end();
    await until(() => stage.engine("alpha").openResponses.length === 0, "the engine is left alone");
  }
});

test("`connection: close` is honoured, and HTTP/1.0 gets its answer without chunks", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.write("one ");
    response.end("two");
  };
  const closing = await RawClient.open(stage);
  closing.send("POST", "/v1/completions", chat("alpha"), "connection: close\r\n");
  assert.match(await closing.untilClosed(), /connection: close\r\n[^]*\r\n0\r\n\r\n$/i);
  const old = await RawClient.open(stage);
  const body = chat("alpha");
  old.socket.write(`POST /v1/completions HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  assert.match(await old.untilClosed(), /^HTTP\/1\.1 200 OK\r\n(?:(?!transfer-encoding)[^])*\r\n\r\none two$/i);
});

function expecting(path: string, length: number): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: ${length}\r\n\r\n`;
}

test("A client that expects `100 Continue` gets it before its body, and a refusal without it", async (context) => {
  const stage = await createStage(context, { bodyBytesMax: 1_000 });
  const body = chat("alpha");
  const client = await RawClient.open(stage);
  client.socket.write(expecting("/v1/completions", body.length));
  await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  client.socket.write(body);
  await client.until(/HTTP\/1\.1 200 OK[^]*"hi"}]}$/);
  for (const [path, length, status] of [
    ["/v1/completions", 5_000, 413],
    ["/nowhere", 10, 404],
  ] as const) {
    const refused = await RawClient.open(stage);
    refused.socket.write(expecting(path, length));
    await refused.until(/}$/);
    assert.match(refused.received, new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close`));
    refused.socket.destroy();
  }
});

test("After a stop the listener and idle connections are closed, and a running stream goes on to its end", async (context) => {
  const stage = await createStage(context);
  let response: ServerResponse | null = null;
  stage.engine("alpha").handler = (begun, received) => {
    if (!received.body.includes("stream")) return void begun.end("quick");
    response = begun;
    return void begun.write("data: 1\n\n");
  };
  const agent = new Agent({ keepAlive: true });
  context.after(() => agent.destroy());
  assert.equal((await ask(stage, { agent })).status, 200);
  const idle = await RawClient.open(stage);
  const streaming = await RawClient.open(stage);
  streaming.send("POST", "/v1/completions", chat("alpha", { stream: true }));
  await streaming.until(/data: 1/);
  await stage.gateway.stopAccepting();
  await idle.untilClosed();
  await assert.rejects(ask(stage), { code: "ECONNREFUSED" });
  let isIdle = false;
  void stage.gateway.idle().then(() => (isIdle = true));
  assert.ok(response !== null);
  (response as ServerResponse).end("data: 2\n\n");
  assert.match(await streaming.untilClosed(), /data: 2\n\n\r\n0\r\n\r\n$/);
  await until(() => isIdle, "the gateway is idle");
});

test("A request that waits when the stop comes is answered, and told that the connection closes", async (context) => {
  const stage = await createStage(context, { onBringUp: () => {} });
  const client = await RawClient.open(stage);
  client.send("POST", "/v1/completions", chat("alpha"));
  await until(() => modelOf(stage, "alpha").waiting === 1, "it waits");
  await stage.gateway.stopAccepting();
  stage.scheduler.onShutdown(1_000, stage.nowMs);
  const answer = await client.untilClosed();
  assert.match(answer, /^HTTP\/1\.1 503 /);
  assert.match(answer, /connection: close/i);
  assert.match(answer, /retry-after: 5\r\n/);
  assert.match(answer, /"code":"shutting_down"/);
});

test("A stream that is still running when the shutdown's time is over gets an error event", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.setHeader("content-type", "text/event-stream");
    response.write("data: 1\n\n");
  };
  const client = await RawClient.open(stage);
  client.send("POST", "/v1/completions", chat("alpha"));
  await client.until(/data: 1/);
  await stage.gateway.stopAccepting();
  stage.scheduler.onShutdown(10, stage.nowMs);
  const answer = await client.untilClosed();
  assert.match(answer, /data: {"error":{[^\n]*"code":"shutting_down"}}\n\n\r\n$/);
  await until(() => stage.asked.includes("finished "), "the scheduler has finished");
});

test("A bug of ours is a 500 and the end of that connection, and the next request works", async (context) => {
  const stage = await createStage(context);
  const request = stage.desk.request.bind(stage.desk);
  stage.desk.request = () => {
    throw new TypeError("a bug");
  };
  const broken = await ask(stage, { headers: { connection: "keep-alive" } });
  assert.equal(broken.status, 500);
  assert.equal(broken.headers.connection, "close");
  assert.deepEqual(json(broken).error?.["code"], "internal_error");
  assert.doesNotMatch(broken.body.toString(), /a bug/);
  assert.match(String(stage.bugs.splice(0)), /a bug/);
  stage.desk.request = request;
  assert.equal((await ask(stage)).status, 200);
});

test("A bug of ours on the way to the engine is told as such, before the answer as a 500 and in its middle as the last event", async (context) => {
  const stage = await createStage(context);
  await ask(stage);
  const { dispatcher } = stage.engine("alpha").connection ?? assert.fail("no engine");
  const bug = new TypeError("a bug");
  for (const hasBegun of [false, true]) {
    stage.access.length = 0;
    dispatcher.dispatch = (_options, handler) => {
      const controller = { abort() {} } as unknown as Dispatcher.DispatchController;
      handler.onRequestStart?.(controller, {});
      if (hasBegun) {
        handler.onResponseStart?.(controller, 200, { "content-type": "text/event-stream" }, "OK");
        handler.onResponseData?.(controller, Buffer.from("data: 1\n\n"));
      }
      handler.onResponseError?.(controller, bug);
      return true;
    };
    const reply = await ask(stage);
    assert.deepEqual([reply.status, reply.isCut], hasBegun ? [200, true] : [500, false]);
    assert.match(reply.body.toString(), /"code":"internal_error"}}(?:\n\n)?$/);
    assert.deepEqual(stage.bugs.splice(0), [bug]);
    await until(() => stage.access.length === 1, "the record");
    const [{ status, outcome, failure: reason } = assert.fail()] = stage.access;
    assert.deepEqual([status, outcome, reason?.code], [500, "failed", "internal_error"]);
  }
});

test("Where the gateway is destroyed, what a client has of an answer does not look like all of it", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => response.write("half");
  const older = await RawClient.open(stage);
  let resetCode = "";
  older.socket.on("error", (error: NodeJS.ErrnoException) => (resetCode = error.code ?? ""));
  const body = chat("alpha");
  // Told neither a length nor chunks.
  older.socket.write(`POST /v1/completions HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  const newer = await RawClient.open(stage);
  newer.send("POST", "/v1/completions", body);
  for (const client of [older, newer]) await client.until(/half/);
  stage.gateway.destroy();
  assert.match(await newer.untilClosed(), /\r\n4\r\nhalf\r\n$/);
  await until(() => resetCode !== "", "the reset");
  assert.equal(resetCode, "ECONNRESET");
  await until(() => stage.access.length === 2, "the records");
  for (const { outcome } of stage.access) assert.equal(outcome, "abandoned");
});
