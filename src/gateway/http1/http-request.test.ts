import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpRequest, type BodyTaker } from "./http-request.ts";
import { readRequestHead } from "./request-head.ts";
import { MemorySocket } from "./testing/memory-socket.ts";

function request(headers = ""): HttpRequest {
  const head = readRequestHead(`POST / HTTP/1.1\r\n${headers}`);
  assert.ok(head !== null);
  return new HttpRequest(head, new MemorySocket());
}

function recorder(): BodyTaker & { readonly seen: string[] } {
  const seen: string[] = [];
  return { seen, onData: (data) => void seen.push(String(data)), onEnd: () => void seen.push("end") };
}

test("The body goes to whoever has taken it last, and its end is told once", () => {
  const one = request();
  const [first, second] = [recorder(), recorder()];
  one.feed(Buffer.from("for nobody"));
  one.take(first);
  one.feed(Buffer.from("a"));
  one.take(second);
  one.feed(Buffer.from("b"));
  one.complete();
  one.tellEnd();
  one.tellEnd();
  assert.deepEqual([first.seen, second.seen], [["a"], ["b", "end"]]);
  assert.equal(one.isComplete, true);
});

test("A body that was left is read on, and goes nowhere", () => {
  const one = request();
  const taker = recorder();
  one.take(taker);
  one.pause();
  assert.equal(one.socket.isPaused(), true);
  one.leave();
  assert.equal(one.socket.isPaused(), false);
  one.feed(Buffer.from("a"));
  one.tellEnd();
  assert.deepEqual(taker.seen, []);
});

test("A header that is there several times is one list", () => {
  const one = request("a: 1\r\nb: 2\r\nA: 3\r\n");
  assert.equal(one.header("a"), "1, 3");
  assert.equal(one.header("b"), "2");
  assert.equal(one.header("c"), undefined);
});
