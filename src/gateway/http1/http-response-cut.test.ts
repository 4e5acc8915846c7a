/** How an answer ends for its client: whole, cut, or with last words. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { HttpConnection } from "./http-connection.ts";
import type { HttpResponse } from "./http-response.ts";
import { asked, bodyOf } from "./testing/asked.ts";
import { answerWith, bodiesIn, PlayedConnection } from "./testing/played-connection.ts";

test("The last words are sent whole, with the head if need be, and then the connection is cut", async () => {
  for (const hasBegun of [true, false]) {
    const play = await asked();
    const { played, socket } = play;
    socket.say("GET /behind HTTP/1.1\r\n\r\n");
    played.response.writeHead(200, []);
    if (hasBegun) played.response.write(Buffer.from("part"));
    played.response.endAbruptly(Buffer.from("sorry"));
    assert.equal(played.response.isEnded, true);
    assert.equal(played.response.write(Buffer.from("more")), true);
    played.response.end(Buffer.from("more"));
    await play.settle();
    assert.equal(socket.writes.length, 1);
    assert.match(socket.heard, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(bodyOf(socket.heard), `${hasBegun ? "4\r\npart\r\n" : ""}5\r\nsorry\r\n`);
    assert.deepEqual([socket.destroyed, socket.hasEnded], [true, false]);
    assert.deepEqual([played.closes, played.response.isFinished, play.requests.length], [1, false, 1]);
  }
});

test("A client that does not read its last words is waited for, also when it says no more", async () => {
  const play = await asked();
  const { played, socket } = play;
  socket.isStuck = true;
  played.response.writeHead(200, []);
  played.response.write(Buffer.from("part"));
  await play.settle();
  played.response.endAbruptly(Buffer.from("sorry"));
  socket.hangUp();
  await play.settle();
  assert.deepEqual([socket.destroyed, played.closes, played.unsents], [false, 0, 0]);
  socket.unstick();
  await play.settle();
  assert.equal(bodyOf(socket.heard), "4\r\npart\r\n5\r\nsorry\r\n");
  assert.deepEqual([socket.destroyed, socket.hasEnded], [true, false]);
  assert.deepEqual([played.closes, played.unsents, played.response.isFinished], [1, 0, false]);
});

test("Last words behind the end go nowhere, and nothing is cut", async () => {
  const play = await asked();
  const { played, socket } = play;
  answerWith(played.response, "all of it");
  played.response.endAbruptly(Buffer.from("sorry"));
  await play.settle();
  assert.deepEqual(bodiesIn(socket.heard), ["all of it"]);
  assert.deepEqual([played.response.isFinished, played.closes, socket.destroyed], [true, 1, false]);
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

const PART = Buffer.from("part");

/** After the head. */
const CUTS: Readonly<Record<string, (response: HttpResponse) => void>> = {
  "with nothing of it written": (response) => response.cut(),
  "in the turn of its writes"(response) {
    response.write(PART);
    response.cut();
  },
  "once it was sent"(response) {
    response.write(PART);
    setImmediate(() => setImmediate(() => response.cut()));
  },
  "with last words": (response) => response.endAbruptly(PART),
};

function withHead(cut: (response: HttpResponse) => void, headers: readonly string[]): (response: HttpResponse) => void {
  return (response) => {
    response.writeHead(200, headers);
    cut(response);
  };
}

for (const [how, cut] of Object.entries(CUTS)) {
  test(`No client takes an answer that was cut for a whole one, cut ${how}`, async (context) => {
    assert.equal(await seenByNode(context, {}, withHead(cut, [])), "cut", "in chunks");
    assert.equal(await seenByNode(context, {}, withHead(cut, ["content-length", "9"])), "cut", "with a length");
    assert.equal(
      await seenByNode(context, { version: "1.0" }, withHead(cut, [])),
      "cut",
      "to the end of the connection",
    );
  });
}

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

test("A client of HTTP/1.0 that hangs up while it is answered is reset, not shown an end; so is one that got last words", async () => {
  for (const end of ["hang-up", "last words"] as const) {
    const play = await asked("GET", "1.0");
    const heardBefore: string[] = [];
    Object.assign(play.socket, { resetAndDestroy: () => void heardBefore.push(bodyOf(play.socket.heard)) });
    play.played.response.writeHead(200, []);
    play.played.response.write(Buffer.from("part"));
    if (end === "hang-up") play.socket.hangUp();
    else play.played.response.endAbruptly(Buffer.from(" of it"));
    await play.settle();
    assert.deepEqual(heardBefore, [end === "hang-up" ? "part" : "part of it"]);
    assert.equal(play.socket.hasEnded, false);
  }
});

test("An answer that is over cannot be cut any more: its connection may have gone on", async () => {
  const play = await asked();
  answerWith(play.played.response, "whole");
  await play.settle();
  play.played.response.cut();
  await play.say("GET /next HTTP/1.1\r\nhost: x\r\n\r\n");
  answerWith(play.at(1).response, "next");
  await play.settle();
  assert.deepEqual(bodiesIn(play.socket.heard), ["whole", "next"]);
  assert.equal(play.socket.destroyed, false);
});
