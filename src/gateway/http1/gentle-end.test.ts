import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../orchestrator/testing/fake-clock.ts";
import { endGently } from "./gentle-end.ts";
import { MemorySocket } from "./testing/memory-socket.ts";

function ending(): { readonly socket: MemorySocket; readonly clock: FakeClock } {
  const [socket, clock] = [new MemorySocket(), new FakeClock()];
  socket.end("last words");
  endGently(socket, clock);
  return { socket, clock };
}

test("What still comes is read away until the client ends too", async () => {
  const { socket, clock } = ending();
  for (let left = 100; left > 0; left -= 1) socket.say(Buffer.alloc(10_000));
  await clock.pass(999);
  assert.equal(socket.heard, "last words");
  assert.equal(socket.readableLength, 0);
  assert.equal(socket.destroyed, false);
  socket.hangUp();
  await clock.pass(0);
  assert.equal(socket.destroyed, true);
  await clock.pass(0);
  assert.equal(clock.pending, 0);
});

test("What has come, and was not read until then, is read away as well", async () => {
  const [socket, clock] = [new MemorySocket(), new FakeClock()];
  socket.pause();
  socket.say("more than was asked for");
  socket.hangUp();
  socket.end();
  endGently(socket, clock);
  await clock.pass(0);
  assert.equal(socket.destroyed, true);
});

test("A client that does not end is waited for a second", async () => {
  const { socket, clock } = ending();
  await clock.pass(999);
  assert.equal(socket.destroyed, false);
  await clock.pass(1);
  assert.equal(socket.destroyed, true);
  await clock.pass(0);
  assert.equal(clock.pending, 0);
});

test("A client that floods is read up to a limit", async () => {
  const { socket, clock } = ending();
  const flood = Buffer.alloc(1024 * 1024);
  for (let sent = 0; sent < 64; sent += 1) {
    socket.say(flood);
    await clock.pass(0);
  }
  assert.equal(socket.destroyed, false);
  socket.say(flood);
  await clock.pass(0);
  assert.equal(socket.destroyed, true);
});

test("A client that has ended already is not waited for, but for what it has not taken", async () => {
  for (const isStuck of [false, true]) {
    const [socket, clock] = [new MemorySocket(), new FakeClock()];
    socket.isStuck = isStuck;
    socket.hangUp();
    socket.resume();
    await clock.pass(0);
    socket.end("last words");
    endGently(socket, clock);
    await clock.pass(0);
    assert.equal(socket.destroyed, !isStuck);
    socket.unstick();
    await clock.pass(0);
    assert.equal(socket.destroyed, true);
  }
});

test("A client that resets the connection leaves no timer", async () => {
  const { socket, clock } = ending();
  socket.on("error", () => {});
  socket.destroy(new Error("read ECONNRESET"));
  await clock.pass(0);
  assert.equal(clock.pending, 0);
});
