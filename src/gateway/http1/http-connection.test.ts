import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResponseOwner } from "./http-response.ts";
import { answerWith, bodiesIn, PlayedConnection } from "./testing/played-connection.ts";

const GET = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";

function post(body: string, headers = ""): string {
  return `POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`;
}

const QUIET_OWNER: ResponseOwner = { onDrain() {}, onUnsent() {}, refusalOf: () => "", onClosed() {} };

function chunked(...bodies: readonly string[]): string {
  const chunks = [...bodies, ""].map((body) => `${body.length.toString(16)}\r\n${body}\r\n`);
  return `POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${chunks.join("")}`;
}

/** Each request is answered, with its target and its body, as soon as it is there. */
function echoing(): PlayedConnection {
  const play = new PlayedConnection();
  play.onPlayed = (played) => {
    played.request.take({
      onData: (data) => void (played.received += data.toString()),
      onEnd: () => answerWith(played.response, played.request.head.url + played.received),
    });
  };
  return play;
}

const MANY = [GET, post("1"), chunked("23", "4"), post(""), GET, chunked(), "\r\n", post("\r\n\r\n")].join("");
const MANY_ANSWERS = ["/a", "/b1", "/c234", "/b", "/a", "/c", "/b\r\n\r\n"];

test("Requests in one packet are answered one after the other", async () => {
  const play = echoing();
  await play.say(MANY);
  assert.deepEqual(bodiesIn(play.socket.heard), MANY_ANSWERS);
  assert.equal(play.connection.isIdle, true);
  assert.deepEqual(
    play.requests.map(({ closes }) => closes),
    MANY_ANSWERS.map(() => 1),
  );
});

test("A head that comes again is the one that was read, and any other is not", async () => {
  const play = echoing();
  await play.say(post("1") + post("234") + post("5", "a: b\r\n") + post("6", "a: b\r\n") + post("7"));
  const [first, second, third, fourth, fifth] = play.requests.map(({ request }) => request.head);
  assert.ok(first !== undefined && first === second);
  assert.ok(third !== undefined && third === fourth && third !== first);
  assert.notEqual(fifth, first);
  assert.deepEqual(fifth, first);
  assert.deepEqual(bodiesIn(play.socket.heard), ["/b1", "/b234", "/b5", "/b6", "/b7"]);
});

test("Between two requests that were sent ahead, others have their turn", async () => {
  const play = echoing();
  const begun: number[] = [];
  const count = (): void => {
    begun.push(play.requests.length);
    if (begun.length < 100) setImmediate(count);
  };
  setImmediate(count);
  await play.say(GET.repeat(50));
  assert.equal(bodiesIn(play.socket.heard).length, 50);
  assert.ok(begun.every((now, turn) => now - (begun[turn - 1] ?? 0) <= 2));
});

test("A client that hangs up with its answer is parted with in order when the next one is begun", async () => {
  for (const answered of [1, 17]) {
    const play = new PlayedConnection();
    const onClosed = (): void => void (play.requests.length === answered && play.socket.hangUp());
    play.onPlayed = ({ response }) => {
      response.ownBy({ ...QUIET_OWNER, onClosed });
      answerWith(response, "");
    };
    await play.say(GET.repeat(100));
    assert.equal(play.requests.length, answered + 1);
    assert.equal(play.socket.hasEnded, true);
    assert.equal(play.goes, 1);
    assert.ok(play.requests.every(({ response }) => response.isFinished));
  }
});

test("Wherever their bytes are split in two, they are the same requests", async () => {
  for (let at = 1; at < MANY.length; at += 1) {
    const play = echoing();
    await play.say(MANY.slice(0, at), MANY.slice(at));
    assert.deepEqual(bodiesIn(play.socket.heard), MANY_ANSWERS, `split at ${at}`);
  }
});

test("Byte by byte, too", async () => {
  const play = echoing();
  for (const byte of MANY) play.socket.say(byte);
  await play.settle();
  assert.deepEqual(bodiesIn(play.socket.heard), MANY_ANSWERS);
});

test("The next request is not begun before the last one is answered", async () => {
  const play = new PlayedConnection();
  await play.say(GET + post("x"));
  assert.equal(play.requests.length, 1);
  play.at(0).response.writeHead(200, []);
  play.at(0).response.write(Buffer.from("part"));
  await play.settle();
  assert.equal(play.requests.length, 1);
  play.at(0).response.end();
  await play.settle();
  assert.equal(play.requests.length, 2);
  assert.equal(play.at(1).received, "x");
});

test("A body that its early answer leaves unread is read away, and the next request is found behind it", async () => {
  for (const text of [post("unwanted"), chunked("un", "wanted")]) {
    const play = new PlayedConnection();
    const bodyAt = text.indexOf("\r\n\r\n") + 5;
    await play.say(text.slice(0, bodyAt));
    answerWith(play.at(0).response, "no");
    await play.settle();
    assert.equal(play.at(0).closes, 1);
    assert.equal(play.connection.isIdle, false);
    await play.say(text.slice(bodyAt) + GET);
    assert.equal(play.requests.length, 2);
    assert.equal(play.at(1).request.head.url, "/a");
  }
});

test("What is broken behind an answer gets no second one", async () => {
  const play = new PlayedConnection();
  await play.say("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
  answerWith(play.at(0).response, "no");
  await play.settle();
  await play.say("nonsense");
  assert.deepEqual(play.at(0).refusals, []);
  assert.deepEqual(bodiesIn(play.socket.heard), ["no"]);
  assert.equal(play.socket.hasEnded, true);
  await play.clock.pass(1_000);
  assert.equal(play.goes, 1);
});

test("A body that stays away after its answer gets no second one either", async () => {
  const play = new PlayedConnection();
  await play.say("POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n");
  answerWith(play.at(0).response, "no");
  await play.settle();
  play.look(11);
  await play.settle();
  assert.deepEqual(bodiesIn(play.socket.heard), ["no"]);
  assert.equal(play.socket.hasEnded, true);
  await play.clock.pass(1_000);
  assert.equal(play.goes, 1);
});

test("What is broken is told so, once, and the connection ends a moment later", async () => {
  for (const text of [
    "nonsense\r\n\r\n",
    "GET / HTTP/1.1\nhost: x\n\n",
    "\x16\x03\x01",
    "\r\n\r\n\r\n\r\n\r\n",
    "G\r",
    chunked("a").replace("\r\n1\r\n", "\r\nx\r\n"),
  ]) {
    const play = new PlayedConnection();
    await play.say(text, text === "G\r" ? "x" : "", GET, "x");
    assert.deepEqual([...play.refusals, ...(play.requests[0]?.refusals ?? [])], ["broken"], JSON.stringify(text));
    assert.equal(play.socket.heard, "HTTP/1.1 499 broken\r\n\r\n");
    assert.equal(play.requests.length, text.startsWith("POST") ? 1 : 0, "nothing is begun behind it");
    assert.equal(play.socket.destroyed, false);
    await play.clock.pass(1_000);
    assert.equal(play.socket.destroyed, true);
    assert.equal(play.goes, 1);
    assert.equal(play.clock.pending, 0);
  }
});

test("What cannot become a request is refused before its head is over", async () => {
  for (const text of ["\x16\x03\x01", "GET / HTTP/1.1\nhost", "GET / HTTP/1.1\r\nhost: \0", "get"]) {
    const play = new PlayedConnection();
    await play.say(text);
    assert.deepEqual(play.refusals, ["broken"], JSON.stringify(text));
  }
});

test("A few line ends before each request are no harm", async () => {
  const play = echoing();
  await play.say(`\r\n\r\n${GET}`.repeat(5));
  assert.equal(bodiesIn(play.socket.heard).length, 5);
  assert.deepEqual(play.refusals, []);
});

test("A connection that breaks takes its request with it, and nothing else", async () => {
  const play = new PlayedConnection();
  await play.say(GET);
  play.socket.destroy(new Error("reset"));
  await play.settle();
  assert.deepEqual([play.at(0).closes, play.goes, play.bugs], [1, 1, []]);
});

test("Whoever has read the refusal and hangs up is not waited for", async () => {
  const play = new PlayedConnection();
  await play.say("nonsense\r\n\r\n");
  play.socket.hangUp();
  await play.settle();
  assert.equal(play.socket.destroyed, true);
  assert.equal(play.clock.pending, 0);
});

test("A request that turns out to be broken is told so in the place of its answer, as the owner of that says", async () => {
  const play = new PlayedConnection();
  await play.say("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n", "x");
  assert.deepEqual(play.at(0).refusals, ["broken"]);
  assert.equal(play.at(0).response.write(Buffer.from("too late")), true);
  await play.clock.pass(1_000);
  assert.equal(play.at(0).closes, 1);
  assert.equal(play.at(0).response.isFinished, false);
  assert.equal(play.socket.heard, "HTTP/1.1 499 broken\r\n\r\n");
});

test("An answer that ends too late is not taken for what the client is told in its place", async () => {
  const play = new PlayedConnection();
  await play.say("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", "x");
  answerWith(play.at(0).response, "too late");
  await play.settle();
  assert.equal(play.socket.heard, "HTTP/1.1 499 broken\r\n\r\n");
  assert.deepEqual([play.at(0).closes, play.at(0).response.isFinished], [0, false]);
});

test("The last words of an answer that came too late do not cut short what the client is told in its place", async () => {
  const play = new PlayedConnection();
  await play.say("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", "x");
  play.at(0).response.writeHead(200, []);
  play.at(0).response.endAbruptly(Buffer.from("sorry"));
  await play.settle();
  assert.equal(play.socket.heard, "HTTP/1.1 499 broken\r\n\r\n");
  assert.equal(play.socket.destroyed, false);
});

test("With half an answer on the wire, what is broken breaks the connection without a word", async () => {
  const play = new PlayedConnection();
  await play.say("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
  play.at(0).response.writeHead(200, []);
  play.at(0).response.write(Buffer.from("half"));
  await play.say("x");
  assert.match(play.socket.heard, /4\r\nhalf\r\n$/);
  assert.equal(play.socket.destroyed, true);
  assert.deepEqual(play.at(0).refusals, []);
});

test("Headers above the limit are refused, whether their end is there or not", async () => {
  for (const end of ["", "\r\n\r\n"]) {
    const play = new PlayedConnection();
    await play.say(`GET / HTTP/1.1\r\na: ${"x".repeat(1_000)}${end}`);
    assert.deepEqual(play.refusals, ["headers too large"]);
  }
  const atLimit = new PlayedConnection();
  await atLimit.say(`GET / HTTP/1.1\r\na: ${"x".repeat(981)}\r\n\r\n`);
  assert.equal(atLimit.requests.length, 1);
});

test("Too many extensions of chunks are refused", async () => {
  const play = new PlayedConnection();
  await play.say(`POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;${"a".repeat(20_000)}`);
  assert.deepEqual(play.at(0).refusals, ["extensions too large"]);
});

test("A client that hangs up between two requests is parted with in order; in the middle of one, it is gone", async () => {
  const idle = echoing();
  await idle.say(GET);
  idle.socket.hangUp();
  await idle.settle();
  assert.equal(idle.socket.hasEnded && idle.socket.destroyed, true);
  for (const text of [GET, post("x").slice(0, -1)]) {
    const play = new PlayedConnection();
    await play.say(text);
    play.socket.hangUp();
    await play.settle();
    assert.equal(play.socket.destroyed, true);
    assert.equal(play.at(0).closes, 1);
    assert.equal(play.at(0).response.isFinished, false);
  }
});

test("A client that hangs up when its answer is written, and not yet sent, gets all of it", async () => {
  for (const isSameTurn of [true, false]) {
    const play = new PlayedConnection();
    await play.say(GET);
    play.socket.isStuck = true;
    answerWith(play.at(0).response, "all of it");
    if (!isSameTurn) await play.settle();
    play.socket.hangUp();
    await play.settle();
    assert.equal(play.socket.destroyed, false);
    play.socket.unstick();
    await play.settle();
    assert.deepEqual(bodiesIn(play.socket.heard), ["all of it"]);
    assert.equal(play.at(0).response.isFinished, true);
    assert.equal(play.socket.destroyed, true);
  }
});

test("Whoever says nothing, or half a head, is told that it takes too long", async () => {
  for (const text of ["", "GET / HT", "\r\n", "\r"]) {
    const play = new PlayedConnection();
    if (text !== "") await play.say(text);
    play.look(3);
    assert.deepEqual(play.refusals, []);
    play.look();
    assert.deepEqual(play.refusals, ["too slow"], JSON.stringify(text));
    assert.equal(play.headBytes, text.replace("\r\n", "").length, "line ends before a request are none");
  }
});

test("Whoever sends half a body, too; but an answer may take as long as it likes", async () => {
  const play = new PlayedConnection();
  await play.say(post("x").slice(0, -1));
  play.look(10);
  assert.deepEqual(play.at(0).refusals, []);
  play.look();
  assert.deepEqual(play.at(0).refusals, ["too slow"]);
  const slow = new PlayedConnection();
  await slow.say(GET);
  slow.look(1_000);
  assert.equal(slow.socket.destroyed, false);
});

test("An idle connection goes without a word, also after a stray line end", async () => {
  for (const stray of ["", "\r\n"]) {
    const play = echoing();
    await play.say(GET, ...(stray === "" ? [] : [stray]));
    assert.equal(play.connection.isIdle, true);
    const { heard } = play.socket;
    play.look(5);
    assert.equal(play.socket.destroyed, false);
    play.look();
    assert.equal(play.socket.destroyed, true);
    assert.equal(play.socket.heard, heard);
  }
});

test("The wait for the rest of a head begins with its first byte", async () => {
  const play = echoing();
  await play.say(GET);
  play.look(4);
  await play.say("G");
  play.look(3);
  await play.say(GET.slice(1));
  assert.equal(play.requests.length, 2);
});

test("A client that does not take the end of its connection does not keep it", async () => {
  const play = new PlayedConnection();
  await play.say("GET / HTTP/1.1\r\nconnection: close\r\n\r\n");
  play.socket.neverEnds = true;
  answerWith(play.at(0).response, "");
  await play.settle();
  assert.equal(play.socket.destroyed, false);
  await play.clock.pass(1_000);
  assert.equal(play.socket.destroyed, true);
});

test("A client that waits to be told to go on is told so before its answer", async () => {
  const play = new PlayedConnection();
  await play.say("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n");
  play.at(0).response.writeContinue();
  await play.say("x");
  answerWith(play.at(0).response, "ok");
  await play.settle();
  assert.match(play.socket.heard, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  assert.equal(play.at(0).hasEnded, true);
});

test("A client that floods while it is answered is read a little at each look, and no further than to a limit", async () => {
  const play = new PlayedConnection();
  await play.say(GET);
  const flood = Buffer.alloc(65_536, "x");
  await play.say(flood);
  assert.equal(play.socket.isPaused(), false);
  await play.say("y");
  assert.equal(play.socket.isPaused(), true);
  let sent = 1;
  for (; sent < 100 && !play.socket.destroyed; sent += 1) {
    await play.say(flood);
    assert.ok(play.socket.destroyed || play.socket.isPaused(), "it is read on");
    play.look();
    await play.settle();
  }
  assert.ok(sent > 10 && sent < 20, `gone after ${sent}`);
  assert.equal(play.at(0).closes, 1);
});

test("A client that floods, and leaves, is noticed at the next look", async () => {
  const play = new PlayedConnection();
  await play.say(GET, Buffer.alloc(65_537, "x"));
  play.socket.hangUp();
  await play.settle();
  assert.equal(play.at(0).closes, 0);
  play.look();
  await play.settle();
  assert.equal(play.at(0).closes, 1);
});

test("What was sent ahead while it was not read is answered in its turn", async () => {
  const play = new PlayedConnection();
  const one = post("x".repeat(70_000));
  await play.say(GET, one, one + GET);
  for (const index of [0, 1, 2, 3]) {
    answerWith(play.at(index).response, "");
    await play.settle();
  }
  assert.deepEqual(
    play.requests.map(({ received }) => received.length),
    [0, 70_000, 70_000, 0],
  );
  assert.equal(play.connection.isIdle, true);
});

test("A connection that is taken over is the host's, with what came behind the request", async () => {
  const play = echoing();
  const upgrade = "GET /r HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
  await play.say(`${GET + upgrade}behind`);
  assert.equal(play.takenOver, "behind");
  assert.equal(play.goes, 1);
  await play.say("more");
  play.look(100);
  play.socket.destroy();
  await play.settle();
  assert.equal(play.goes, 1);
  assert.deepEqual(play.refusals, []);
  assert.equal(play.requests.length, 1);
});

test("A request with a body is not taken over", async () => {
  const play = new PlayedConnection();
  await play.say("GET /r HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 1\r\n\r\nx");
  assert.equal(play.takenOver, null);
  assert.equal(play.requests.length, 1);
});

test("What the host throws ends the connection, and is told", async () => {
  const bug = new Error("a bug");
  const boom = (): never => {
    throw bug;
  };
  const early = new PlayedConnection();
  early.onPlayed = boom;
  await early.say(GET + GET);
  const inBody = new PlayedConnection();
  inBody.onPlayed = ({ request }) => request.take({ onData: boom, onEnd() {} });
  await inBody.say(post("x"));
  const atEnd = new PlayedConnection();
  atEnd.onPlayed = ({ request }) => request.take({ onData() {}, onEnd: boom });
  await atEnd.say(chunked("x"));
  const piped = echoing();
  await piped.say(GET);
  piped.onPlayed = boom;
  await piped.say(GET + GET);
  const drained = new PlayedConnection();
  drained.onPlayed = ({ response }) => response.ownBy({ ...QUIET_OWNER, onDrain: boom });
  await drained.say(GET);
  drained.socket.isStuck = true;
  drained.at(0).response.writeHead(200, []);
  drained.at(0).response.write(Buffer.alloc(1_000_000));
  drained.socket.unstick();
  await drained.settle();
  const closed = new PlayedConnection();
  closed.onPlayed = ({ response }) => response.ownBy({ ...QUIET_OWNER, onClosed: boom });
  await closed.say(GET);
  closed.socket.hangUp();
  await closed.settle();
  for (const play of [early, inBody, atEnd, piped, drained, closed]) {
    assert.deepEqual(play.bugs, [bug]);
    assert.equal(play.socket.destroyed, true);
    assert.equal(play.goes, 1);
  }
});

test("Once the listener is ending, a connection ends with its last answer, or with the rest of an unwanted body", async () => {
  const play = new PlayedConnection();
  await play.say(post("x").slice(0, -1));
  answerWith(play.at(0).response, "");
  await play.settle();
  play.isEnding = true;
  await play.say("x");
  assert.equal(play.socket.hasEnded, true);
  assert.equal(play.connection.isIdle, false, "it is left to end by itself");
  play.socket.hangUp();
  await play.settle();
  assert.equal(play.goes, 1);
});

test("The last answer of a connection says so, and nothing behind it is answered", async () => {
  for (const request of ["GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"]) {
    const play = echoing();
    await play.say(request + GET);
    assert.deepEqual(bodiesIn(play.socket.heard), ["/"]);
    assert.match(play.socket.heard, /connection: close/);
    assert.equal(play.socket.hasEnded, true);
    assert.equal(play.socket.destroyed, false, "what still comes is read away");
    play.look(1_000);
    await play.say(GET.repeat(100));
    assert.equal(play.requests.length, 1);
    play.socket.hangUp();
    await play.settle();
    assert.equal(play.goes, 1);
    assert.equal(play.clock.pending, 0);
  }
});
