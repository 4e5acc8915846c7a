import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import { EnginePool } from "./engine-pool.ts";
import { Recorder, send, start, until, withEngine } from "./testing/raw-engine.ts";

test("A large body arrives as it is", async (context) => {
  const { engine, pool } = await withEngine(context);
  const body = Buffer.alloc(3_000_000, "0123456789");
  await send(pool, { body });
  assert.ok(engine.requests[0]?.endsWith(`content-length: 3000000\r\n\r\n${body.toString()}`));
});

test("Interim answers are told as such, and the answer follows", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = (socket) =>
    socket.write(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
    );
  const recorder = await send(pool);
  assert.deepEqual(recorder.told, ["start", "head", "head", "head", "data", "end"]);
  assert.equal(recorder.status, 200);
});

test("An answer to HEAD has no body, whatever length it names, and the connection is used again", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
  for (let round = 0; round < 2; round += 1) {
    const recorder = await send(pool, { method: "HEAD", body: null });
    assert.deepEqual(recorder.told, ["start", "head", "end"]);
  }
  assert.equal(engine.sockets.length, 1);
});

test("An answer without a length ends with its connection", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nall there is");
  for (let round = 1; round <= 2; round += 1) {
    const recorder = await send(pool);
    assert.deepEqual([recorder.error, recorder.text, engine.sockets.length], [null, "all there is", round]);
  }
});

for (const [what, answer] of [
  ["no answer", ""],
  ["half a head", "HTTP/1.1 200 OK\r\ncontent-"],
  ["half a body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"],
  ["chunks without the last", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
] as const) {
  test(`A connection that ends after ${what} is an error of the other side`, async (context) => {
    const { engine, pool } = await withEngine(context);
    engine.answer = (socket) => socket.end(answer);
    const recorder = await send(pool);
    assert.equal(recorder.error?.code, "UND_ERR_SOCKET");
    assert.equal(recorder.error?.message, "other side closed");
    assert.equal(recorder.ends, 1);
  });
}

test("A connection that is reset tells its system code, also where the answer has no length", async (context) => {
  const { engine, pool } = await withEngine(context);
  const recorder = new Recorder();
  engine.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nsome");
  recorder.onTold = (what) => what === "data" && engine.sockets[0]?.resetAndDestroy();
  await send(pool, {}, recorder);
  assert.equal(recorder.error?.code, "ECONNRESET");
  assert.equal(recorder.text, "some");
});

test("What is no HTTP, or too much of it, is an error and the end of the connection", async (context) => {
  const { engine, pool } = await withEngine(context);
  for (const [answer, name] of [
    ["SSH-2.0-OpenSSH\r\n", "HTTPParserError"],
    ["HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "HTTPParserError"],
    ["HTTP/1.1 101 Switching Protocols\r\n\r\n", "SocketError"],
    [`HTTP/1.1 200 OK\r\n${`x-a: ${"a".repeat(1_000)}\r\n`.repeat(80)}`, "HeadersOverflowError"],
  ] as const) {
    engine.answer = (socket) => socket.write(answer);
    const recorder = await send(pool);
    assert.equal(recorder.error?.name, name);
    await until(() => engine.sockets.at(-1)?.destroyed === true, "the engine sees the end");
  }
});

test("Nothing is told while it is paused, nothing is lost, and nothing is out of order", async (context) => {
  const { engine, pool } = await withEngine(context);
  const sent = Array.from({ length: 50 }, (_, index) => `piece ${index};`.repeat(2_000));
  engine.answer = (socket) => {
    socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for (const piece of sent) socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    socket.write("0\r\n\r\n");
  };
  const recorder = new Recorder();
  let isPaused = false;
  recorder.onTold = (what) => {
    assert.equal(isPaused, false, `${what} while it is paused`);
    if (what === "start" || what === "end") return;
    isPaused = true;
    recorder.controller?.pause();
    setImmediate(() => {
      isPaused = false;
      recorder.controller?.resume();
    });
  };
  await send(pool, {}, recorder);
  assert.equal(recorder.error, null);
  assert.ok(recorder.text === sent.join(""), "the pieces are what was sent");
  recorder.onTold = () => {};
  assert.equal((await send(pool)).error, null, "the connection is in order");
  assert.equal(engine.sockets.length, 1);
});

for (const [what, pausesInHead] of [
  ["while it is told the head", true],
  ["between two reads", false],
] as const) {
  test(`One that pauses ${what} hears nothing until it resumes, and the engine is not read`, async (context) => {
    const { engine, pool } = await withEngine(context);
    const size = 32 * 1024 * 1024;
    engine.answer = (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
      if (pausesInHead) socket.write(Buffer.alloc(size));
    };
    const recorder = new Recorder();
    if (pausesInHead) recorder.onTold = (told) => told === "head" && recorder.controller?.pause();
    start(pool, {}, recorder);
    await until(() => recorder.told.includes("head"), "the head");
    if (!pausesInHead) {
      recorder.controller?.pause();
      engine.sockets[0]?.write(Buffer.alloc(size));
    }
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.ok((engine.sockets[0]?.writableLength ?? 0) > 0, "the engine could not write all of it");
    assert.deepEqual(recorder.told, ["start", "head"]);
    recorder.controller?.resume();
    await recorder.over;
    assert.equal(recorder.text.length, size);
  });
}

test("One that pauses between two reads hears of the end, too, only when it resumes", async (context) => {
  for (const [head, end] of [
    ["HTTP/1.1 200 OK\r\n\r\n", "end"],
    ["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", "error"],
  ] as const) {
    const { engine, pool } = await withEngine(context);
    engine.answer = (socket) => socket.write(head);
    const recorder = start(pool);
    await until(() => recorder.told.includes("head"), "the head");
    recorder.controller?.pause();
    engine.sockets[0]?.end();
    await until(() => engine.sockets[0]?.destroyed === true, "both sides have ended");
    assert.deepEqual(recorder.told, ["start", "head"]);
    recorder.controller?.resume();
    await recorder.over;
    assert.deepEqual(recorder.told, ["start", "head", end]);
  }
});

test("One that pauses and resumes while it is told something goes on to hear", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf");
  const recorder = new Recorder();
  recorder.onTold = (what) => {
    if (what !== "head" && what !== "data") return;
    recorder.controller?.pause();
    recorder.controller?.resume();
  };
  start(pool, {}, recorder);
  await until(() => recorder.text === "half", "the first half");
  engine.sockets[0]?.write("more");
  await until(() => recorder.ends === 1, "the end");
  assert.deepEqual([recorder.error, recorder.text], [null, "halfmore"]);
});

test("One that pauses and resumes while it is told what was held hears all of it, though the engine has ended", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = (socket) =>
    socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n4\r\nmore\r\n0\r\n\r\n");
  const recorder = new Recorder();
  recorder.onTold = (what) => {
    if (what !== "head" && what !== "data") return;
    recorder.controller?.pause();
    if (what === "data") recorder.controller?.resume();
  };
  start(pool, {}, recorder);
  await until(() => recorder.told.includes("head"), "the head");
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  recorder.controller?.resume();
  await recorder.over;
  assert.deepEqual([recorder.error, recorder.text, recorder.ends], [null, "halfmore", 1]);
});

test("A connection that the engine does not keep is closed at once, whatever is idle beside it", async (context) => {
  const { engine, pool } = await withEngine(context);
  await send(pool);
  const kept = start(pool);
  engine.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  const beganAtMs = performance.now();
  await send(pool);
  await kept.over;
  const gone = engine.sockets[1] ?? assert.fail("there is one connection");
  await until(() => gone.destroyed, "it is closed");
  // Idle ones are closed after 4 s.
  assert.ok(performance.now() - beganAtMs < 3_000);
});

for (const bytes of [2, 100_000]) {
  test(`A handler that ends the pool when it is told of its connection hears of that end, and of its ${bytes} bytes nothing is sent`, async (context) => {
    const { engine, pool } = await withEngine(context);
    const recorder = new Recorder();
    recorder.onTold = (what) => what === "start" && void pool.destroy();
    await send(pool, { body: Buffer.alloc(bytes) }, recorder);
    assert.deepEqual([recorder.told, recorder.error?.code], [["start", "error"], "UND_ERR_DESTROYED"]);
    await until(() => engine.sockets.every(({ destroyed }) => destroyed), "the engine sees the end");
    assert.deepEqual(engine.requests, []);
  });
}

test("An end that comes while it is paused is told afterwards", async (context) => {
  const { engine, pool } = await withEngine(context);
  for (const [answer, end] of [
    ["HTTP/1.1 200 OK\r\n\r\nsome", "end"],
    ["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome", "error"],
  ] as const) {
    engine.answer = (socket) => socket.end(answer);
    const recorder = new Recorder();
    recorder.onTold = (what) => what === "head" && recorder.controller?.pause();
    start(pool, {}, recorder);
    await until(() => recorder.told.includes("head"), "the head");
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(recorder.told, ["start", "head"]);
    recorder.controller?.resume();
    await recorder.over;
    assert.deepEqual(recorder.told, ["start", "head", "data", end]);
  }
});

test("One that is aborted hears so at once, and its engine sees the end", async (context) => {
  for (const moment of ["head", "data"]) {
    const { engine, pool } = await withEngine(context);
    engine.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    const recorder = new Recorder();
    const reason = new Error("no longer wanted");
    recorder.onTold = (what) => {
      if (what !== moment) return;
      recorder.controller?.abort(reason);
      assert.equal(recorder.told.at(-1), "error", "before it returns");
    };
    await send(pool, {}, recorder);
    assert.equal(recorder.error, reason);
    assert.equal(recorder.controller?.aborted, true);
    await until(() => engine.sockets[0]?.destroyed === true, "the engine sees the end");
    recorder.controller?.resume();
    recorder.controller?.abort(reason);
    assert.equal(recorder.ends, 1);
  }
});

test("One that is aborted before a byte is written costs no connection, and the engine hears nothing", async (context) => {
  const { engine, pool } = await withEngine(context);
  const recorder = new Recorder();
  recorder.onTold = (what) => what === "start" && recorder.controller?.abort(new Error("no longer wanted"));
  await send(pool, {}, recorder);
  assert.deepEqual(recorder.told, ["start", "error"]);
  assert.equal((await send(pool)).text, "fine");
  assert.deepEqual([engine.requests.length, engine.sockets.length], [1, 1]);
});

for (const moment of ["start", "head", "data", "end"]) {
  test(`What a handler throws when it is told of its ${moment} is told to it, and harms nobody else`, async (context) => {
    const { pool } = await withEngine(context);
    const bug = new Error("a bug");
    const recorder = new Recorder();
    recorder.onTold = (what) => {
      if (what === moment) throw bug;
    };
    start(pool, {}, recorder);
    await until(() => recorder.error !== null, "the error");
    assert.equal(recorder.error, bug);
    assert.equal((await send(pool)).text, "fine");
  });
}

test("An answer that comes before the request is sent whole is told, and the connection is not used again", async (context) => {
  const early = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.pause();
      socket.write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
    });
  });
  early.listen(0, "127.0.0.1");
  await once(early, "listening");
  let connections = 0;
  early.on("connection", () => (connections += 1));
  const pool = new EnginePool(`http://127.0.0.1:${(early.address() as AddressInfo).port}`, []);
  context.after(async () => {
    await pool.destroy();
    early.close();
  });
  for (let round = 0; round < 2; round += 1) {
    const recorder = await send(pool, { body: Buffer.alloc(64 * 1024 * 1024) });
    assert.deepEqual([recorder.error, recorder.status, recorder.text], [null, 413, "big"]);
  }
  assert.equal(connections, 2);
});

test("What is handed on stays as it is, whatever is read afterwards", async (context) => {
  const { engine, pool } = await withEngine(context);
  let count = 0;
  engine.answer = (socket) => {
    count += 1;
    const data = String(count % 10).repeat(5_000);
    socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1388\r\n${data}\r\n0\r\n\r\n`);
  };
  const recorders = Array.from({ length: 9 }, (_, index) => {
    const recorder = new Recorder();
    recorder.wantsFrames = index % 2 === 0;
    return recorder;
  });
  for (const recorder of recorders) await send(pool, {}, recorder);
  for (const [index, { chunks, frames }] of recorders.entries()) {
    const all = Buffer.concat([...chunks, ...frames.map(({ bytes }) => bytes)]).toString();
    assert.equal(all.replaceAll(/1388\r\n|\r\n/g, ""), String(index + 1).repeat(5_000));
  }
});

test("Who wants whole chunks gets them as they came, from the moment on when he wants them", async (context) => {
  const { engine, pool } = await withEngine(context);
  engine.answer = (socket) =>
    socket.write(
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n3;x\r\ndef\r\n03\r\nghi\r\n0\r\n\r\n",
    );
  const recorder = new Recorder();
  recorder.onTold = (what) => {
    if (what === "data") recorder.wantsFrames = true;
  };
  await send(pool, {}, recorder);
  assert.deepEqual(recorder.told, ["start", "head", "data", "frames", "data", "frames", "end"]);
  assert.equal(recorder.text, "adef");
  assert.deepEqual(
    recorder.frames.map(({ bytes, dataBytes, lastByte }) => [
      bytes.toString(),
      dataBytes,
      String.fromCharCode(lastByte),
    ]),
    [
      ["2\r\nbc\r\n", 2, "c"],
      ["03\r\nghi\r\n", 3, "i"],
    ],
  );
});

test("Whatever an engine sends, there is one end, and the next request is served", async (context) => {
  const { engine, pool } = await withEngine(context);
  const part = fc.constantFrom(
    "HTTP/1.1 200 OK\r\n",
    "content-length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "connection: close\r\n",
    "\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "hello",
    "\0",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
  );
  const pieces = fc.array(fc.oneof(part, fc.string({ maxLength: 5 })), { maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.boolean(), fc.boolean(), async (sent, wantsFrames, isReset) => {
      engine.answer = (socket) => {
        for (const piece of sent) socket.write(piece);
        if (isReset) socket.resetAndDestroy();
        else socket.end();
      };
      const recorder = new Recorder();
      recorder.wantsFrames = wantsFrames;
      await send(pool, {}, recorder);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(recorder.ends, 1);
      assert.ok(["end", "error"].includes(recorder.told.at(-1) ?? ""), "nothing is told after the end");
    }),
    { numRuns: 100 },
  );
  engine.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine");
  await until(() => engine.sockets.every(({ destroyed }) => destroyed), "all of those are gone");
  assert.equal((await send(pool)).text, "fine");
});
