import assert from "node:assert/strict";
import { test } from "node:test";
import { asked, bodyOf } from "./testing/asked.ts";
import { answerWith } from "./testing/played-connection.ts";

test("A small answer is one write, with a length and in chunks", async () => {
  const known = await asked();
  answerWith(known.played.response, "hello");
  await known.settle();
  assert.equal(known.socket.writes.length, 1);
  assert.equal(bodyOf(known.socket.heard), "hello");
  const open = await asked();
  open.played.response.writeHead(200, []);
  open.played.response.end(Buffer.from("hello"));
  await open.settle();
  assert.equal(open.socket.writes.length, 1);
  assert.equal(bodyOf(open.socket.heard), "5\r\nhello\r\n0\r\n\r\n");
  const empty = await asked();
  empty.played.response.writeHead(200, []);
  empty.played.response.end();
  await empty.settle();
  assert.equal(empty.socket.writes.length, 1);
  assert.equal(bodyOf(empty.socket.heard), "0\r\n\r\n");
});

test("A head waits for what comes next", async () => {
  const play = await asked();
  const { played, socket } = play;
  played.response.writeHead(200, []);
  await play.settle();
  assert.equal(socket.writes.length, 0);
  assert.equal(played.response.hasHead, true);
  played.response.write(Buffer.alloc(0));
  await play.settle();
  assert.match(socket.heard, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s);
});

test("Pieces written in one turn are one write, and those of another turn are another one", async () => {
  const play = await asked();
  play.played.response.writeHead(200, []);
  for (const piece of ["a", "b"]) play.played.response.write(Buffer.from(piece));
  await play.settle();
  for (const piece of ["c", "d"]) play.played.response.write(Buffer.from(piece));
  await play.settle();
  assert.equal(play.socket.writes.length, 2);
  assert.equal(bodyOf(play.socket.heard), ["a", "b", "c", "d"].map((piece) => framed(Buffer.from(piece))).join(""));
});

function framed(piece: Buffer): string {
  return piece.length === 0 ? "" : `${piece.length.toString(16)}\r\n${piece.toString()}\r\n`;
}

test("Pieces of any size go out in their order, and none of them is the end", async () => {
  const pieces = [1, 0, 16_384, 16_385, 3, 100_000, 70_000, 2].map((size, index) => Buffer.alloc(size, `${index}`));
  for (const version of ["1.1", "1.0"]) {
    const play = await asked("POST", version);
    const { played, socket } = play;
    played.response.writeHead(200, []);
    for (const piece of pieces) played.response.write(piece);
    played.response.end(Buffer.from("end"));
    await play.settle();
    const all = [...pieces, Buffer.from("end")];
    const expected = version === "1.0" ? Buffer.concat(all).toString() : `${all.map(framed).join("")}0\r\n\r\n`;
    assert.ok(bodyOf(socket.heard) === expected, `to HTTP/${version}`);
  }
});

test("Pieces that have their frames already go out as they are", async () => {
  const play = await asked();
  const { played, socket } = play;
  played.response.writeHead(200, []);
  assert.equal(played.response.isChunked, true);
  played.response.writeFrames(Buffer.from("1\r\na\r\n"));
  played.response.end();
  await play.settle();
  assert.equal(bodyOf(socket.heard), "1\r\na\r\n0\r\n\r\n");
});

for (const [method, status] of [
  ["HEAD", 200],
  ["POST", 204],
  ["POST", 304],
] as const) {
  test(`The answer ${status} to ${method} has no body, whatever is written`, async () => {
    for (const version of ["1.1", "1.0"]) {
      for (const headers of [[], ["content-length", "5"]]) {
        const play = await asked(method, version);
        const { played, socket } = play;
        played.response.writeHead(status, headers);
        played.response.write(Buffer.from("hello"));
        played.response.write(Buffer.alloc(100_000));
        played.response.end(Buffer.from("hello"));
        await play.settle();
        assert.match(socket.heard, /^HTTP.*\r\n\r\n$/s);
        assert.equal(bodyOf(socket.heard), "");
      }
    }
  });
}

test("A client that does not read is waited for, and the answer is over only when it has all", async () => {
  const play = await asked();
  const { played, socket } = play;
  socket.isStuck = true;
  played.response.writeHead(200, []);
  assert.equal(played.response.write(Buffer.alloc(1_000_000)), false);
  assert.ok(played.response.unsentBytes >= 1_000_000);
  played.response.end();
  await play.settle();
  assert.equal(played.response.isEnded, true);
  assert.equal(played.response.isFinished, false);
  assert.equal(played.closes, 0);
  assert.equal(played.drains, 0);
  socket.unstick();
  await play.settle();
  assert.equal(played.response.isFinished, true);
  assert.equal(played.closes, 1);
});

test("There is word of room again", async () => {
  const play = await asked();
  play.socket.isStuck = true;
  play.played.response.writeHead(200, []);
  assert.equal(play.played.response.write(Buffer.alloc(1_000_000)), false);
  play.socket.unstick();
  await play.settle();
  assert.equal(play.played.drains, 1);
});

test("Once all is written, and the client has no room for it, its owner is told so, once", async () => {
  for (const bytes of [1, 1_000_000]) {
    const play = await asked();
    const { played, socket } = play;
    socket.isStuck = true;
    played.response.writeHead(200, []);
    played.response.write(Buffer.alloc(bytes));
    await play.settle();
    assert.equal(played.unsents, 0);
    played.response.end();
    assert.equal(played.unsents, 0);
    await play.settle();
    assert.deepEqual([played.unsents, played.closes], [1, 0]);
    socket.unstick();
    await play.settle();
    assert.deepEqual([played.unsents, played.closes], [1, 1]);
  }
});

test("Nothing is said of room when the client takes all, nor when it has gone", async () => {
  for (const isGone of [false, true]) {
    const play = await asked();
    const { played, socket } = play;
    socket.isStuck = isGone;
    answerWith(played.response, "hello");
    if (isGone) socket.destroy();
    await play.settle();
    assert.deepEqual([played.unsents, played.closes, played.response.isFinished], [0, 1, !isGone]);
  }
});

test("An answer whose connection broke before all of it was taken is not over, though it was written", async () => {
  for (const way of ["broke before the end", "broke in the turn of the end", "broke while it waited"]) {
    const play = await asked();
    const { played, socket } = play;
    socket.isStuck = way === "broke while it waited";
    played.response.writeHead(200, []);
    played.response.write(Buffer.alloc(10));
    if (way !== "broke before the end") played.response.end();
    if (way === "broke while it waited") await play.settle();
    socket.destroy(new Error("reset"));
    if (way === "broke before the end") played.response.end();
    await play.settle();
    assert.equal(played.response.isFinished, false);
    assert.equal(played.response.isClosed, true);
    assert.equal(played.closes, 1);
  }
});

test("An answer whose last bytes could not be sent is not over either", async () => {
  const play = await asked();
  const { played, socket } = play;
  socket.isStuck = true;
  played.response.writeHead(200, []);
  played.response.write(Buffer.alloc(10));
  played.response.end();
  await play.settle();
  socket.fail();
  await play.settle();
  assert.equal(played.response.isFinished, false);
  assert.equal(played.closes, 1);
});

test("Nor is one whose bytes the system refuses at once, which the socket tells only afterwards", async () => {
  const play = await asked();
  const { played, socket } = play;
  socket.isBroken = true;
  answerWith(played.response, "hello");
  await play.settle();
  assert.equal(played.response.isFinished, false);
  assert.deepEqual([played.closes, played.unsents, socket.destroyed], [1, 0, true]);
});

test("What is said after the end, or after the client has gone, goes nowhere", async () => {
  const play = await asked();
  const { response } = play.played;
  answerWith(response, "hello");
  for (let turn = 0; turn < 2; turn += 1) {
    assert.equal(response.write(Buffer.from("more")), true);
    assert.equal(response.writeFrames(Buffer.from("more")), true);
    response.end(Buffer.from("more"));
    await play.settle();
    assert.equal(bodyOf(play.socket.heard), "hello");
  }
  const gone = await asked();
  gone.played.response.writeHead(200, []);
  gone.socket.destroy();
  await gone.settle();
  assert.equal(gone.played.response.write(Buffer.from("more")), true);
  gone.played.response.end();
  gone.played.response.writeContinue();
  await gone.settle();
  assert.equal(gone.socket.heard, "");
  assert.equal(gone.played.closes, 1);
});

test("A body without a head is our own mistake", async () => {
  const { played } = await asked();
  assert.throws(() => played.response.write(Buffer.from("x")), { name: "AssertionError" });
  assert.throws(() => played.response.end(), { name: "AssertionError" });
  assert.equal(played.response.isEnded, false);
});

test("A head that cannot be sent leaves room for another one", async () => {
  const play = await asked();
  const { played, socket } = play;
  assert.throws(() => played.response.writeHead(200, ["x", "a\r\nb: c"]), { code: "ERR_INVALID_CHAR" });
  assert.equal(played.response.hasHead, false);
  answerWith(played.response, "sorry");
  await play.settle();
  assert.equal(bodyOf(socket.heard), "sorry");
});

test("After an answer the connection is not kept if that was said before its head", async () => {
  const before = await asked();
  before.played.response.closeAfterwards();
  answerWith(before.played.response, "");
  await before.settle();
  assert.match(before.socket.heard, /connection: close\r\n/);
  assert.equal(before.socket.hasEnded, true);
  const after = await asked();
  after.played.response.writeHead(200, ["content-length", "0"]);
  after.played.response.closeAfterwards();
  after.played.response.end();
  await after.settle();
  assert.match(after.socket.heard, /connection: keep-alive\r\n/);
  assert.equal(after.socket.hasEnded, false);
});
