import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { HttpConnection } from "./http-connection.ts";
import type { HttpResponse } from "./http-response.ts";
import { answerWith, PlayedConnection, type PlayedRequest } from "./testing/played-connection.ts";

async function asked(method = "POST", version = "1.1"): Promise<PlayedConnection & { readonly played: PlayedRequest }> {
  const play = new PlayedConnection();
  await play.say(`${method} / HTTP/${version}\r\nhost: x\r\n\r\n`);
  return Object.assign(play, { played: play.at(0) });
}

/** Without its head. */
function bodyOf(heard: string): string {
  return heard.slice(heard.indexOf("\r\n\r\n") + 4);
}

test("A small answer with a length is one write; one in chunks is two", async () => {
  const known = await asked();
  answerWith(known.played.response, "hello");
  assert.equal(known.socket.writes.length, 1);
  assert.equal(bodyOf(known.socket.heard), "hello");
  const open = await asked();
  open.played.response.writeHead(200, []);
  open.played.response.end(Buffer.from("hello"));
  assert.equal(open.socket.writes.length, 2);
  assert.equal(bodyOf(open.socket.heard), "5\r\nhello\r\n0\r\n\r\n");
  const empty = await asked();
  empty.played.response.writeHead(200, []);
  empty.played.response.end();
  assert.equal(empty.socket.writes.length, 1);
  assert.equal(bodyOf(empty.socket.heard), "0\r\n\r\n");
});

test("A head waits for what comes next", async () => {
  const { played, socket } = await asked();
  played.response.writeHead(200, []);
  assert.equal(socket.writes.length, 0);
  assert.equal(played.response.hasHead, true);
  played.response.write(Buffer.alloc(0));
  assert.match(socket.heard, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s);
});

function framed(piece: Buffer): string {
  return piece.length === 0 ? "" : `${piece.length.toString(16)}\r\n${piece.toString()}\r\n`;
}

test("Pieces of any size go out in their order, and none of them is the end", async () => {
  const pieces = [1, 0, 16_384, 16_385, 3, 100_000, 70_000, 2].map((size, index) => Buffer.alloc(size, `${index}`));
  for (const version of ["1.1", "1.0"]) {
    const { played, socket } = await asked("POST", version);
    played.response.writeHead(200, []);
    for (const piece of pieces) played.response.write(piece);
    played.response.end(Buffer.from("end"));
    const all = [...pieces, Buffer.from("end")];
    const expected = version === "1.0" ? Buffer.concat(all).toString() : `${all.map(framed).join("")}0\r\n\r\n`;
    assert.ok(bodyOf(socket.heard) === expected, `to HTTP/${version}`);
  }
});

test("Pieces that have their frames already go out as they are", async () => {
  const { played, socket } = await asked();
  played.response.writeHead(200, []);
  assert.equal(played.response.isChunked, true);
  played.response.writeFrames(Buffer.from("1\r\na\r\n"));
  played.response.end();
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
        const { played, socket } = await asked(method, version);
        played.response.writeHead(status, headers);
        played.response.write(Buffer.from("hello"));
        played.response.write(Buffer.alloc(100_000));
        played.response.end(Buffer.from("hello"));
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

test("An answer whose connection broke before all of it was taken is not over, though it was written", async () => {
  for (const isStuck of [true, false]) {
    const play = await asked();
    const { played, socket } = play;
    socket.isStuck = isStuck;
    played.response.writeHead(200, []);
    played.response.write(Buffer.alloc(10));
    if (isStuck) played.response.end();
    socket.destroy(new Error("reset"));
    if (!isStuck) played.response.end();
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
  socket.fail();
  await play.settle();
  assert.equal(played.response.isFinished, false);
  assert.equal(played.closes, 1);
});

test("What is said after the end, or after the client has gone, goes nowhere", async () => {
  const play = await asked();
  const { response } = play.played;
  answerWith(response, "hello");
  const { heard } = play.socket;
  assert.equal(response.write(Buffer.from("more")), true);
  assert.equal(response.writeFrames(Buffer.from("more")), true);
  response.end(Buffer.from("more"));
  await play.settle();
  assert.equal(play.socket.heard, heard);
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
  const { played, socket } = await asked();
  assert.throws(() => played.response.writeHead(200, ["x", "a\r\nb: c"]), { code: "ERR_INVALID_CHAR" });
  assert.equal(played.response.hasHead, false);
  answerWith(played.response, "sorry");
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

function sayOlder(bytes: Buffer | string): void {
  if (typeof bytes !== "string") bytes.write("HTTP/1.0", bytes.indexOf("HTTP/1.1"));
}

/** What Node's client makes of an answer. */
async function seenByNode(
  context: TestContext,
  { version = "1.1", method = "POST" }: { version?: string; method?: string },
  act: (response: HttpResponse) => void,
): Promise<"whole" | "cut"> {
  const play = new PlayedConnection();
  play.onPlayed = ({ response }) => act(response);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = new HttpConnection(play, socket);
    // Node's client speaks nothing else than 1.1.
    if (version === "1.0") socket.prependListener("data", sayOlder);
    context.after(() => connection.destroy());
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve) => {
    const request = httpRequest({ host: "127.0.0.1", port, method, agent: false }, (answer) => {
      answer.resume();
      answer.on("error", () => {});
      answer.on("close", () => resolve(answer.complete ? "whole" : "cut"));
    });
    request.on("error", () => resolve("cut"));
    request.end();
  });
}

test("No client takes an answer that was cut for a whole one", async (context) => {
  for (const isWritten of [true, false]) {
    for (const isDestroyed of [true, false]) {
      const cut = (headers: readonly string[]) => (response: HttpResponse) => {
        response.writeHead(200, headers);
        if (isWritten) response.write(Buffer.from("part"), () => (isDestroyed ? response.destroy() : response.cut()));
        else response.cut();
      };
      assert.equal(await seenByNode(context, {}, cut([])), "cut", "in chunks");
      assert.equal(await seenByNode(context, {}, cut(["content-length", "9"])), "cut", "with a length");
      assert.equal(await seenByNode(context, { version: "1.0" }, cut([])), "cut", "to the end of the connection");
    }
  }
});

function whole(headers: readonly string[]): (response: HttpResponse) => void {
  return (response) => {
    response.writeHead(200, headers);
    response.end(Buffer.from("all of it"));
  };
}

test("A whole answer is one to Node's client, in each framing", async (context) => {
  assert.equal(await seenByNode(context, {}, whole([])), "whole");
  assert.equal(await seenByNode(context, {}, whole(["content-length", "9"])), "whole");
  assert.equal(await seenByNode(context, { version: "1.0" }, whole([])), "whole");
  assert.equal(await seenByNode(context, { method: "HEAD" }, whole(["content-length", "9"])), "whole");
});

test("A client of HTTP/1.0 that hangs up while it is answered is reset, not shown an end", async () => {
  const play = new PlayedConnection();
  await play.say("GET / HTTP/1.0\r\n\r\n");
  let resets = 0;
  Object.assign(play.socket, { resetAndDestroy: () => void (resets += 1) });
  play.at(0).response.writeHead(200, []);
  play.at(0).response.write(Buffer.from("part"));
  play.socket.hangUp();
  await play.settle();
  assert.equal(resets, 1);
});
