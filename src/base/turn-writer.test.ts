import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "node:test";
import { collectWrites, TurnWriter } from "./turn-writer.ts";

/** Keeps what it is given, call by call; takes a call only when it is told to, where it is told to wait. */
class Sink extends Duplex {
  readonly calls: string[] = [];
  release: (() => void) | null = null;
  readonly #waits: boolean;

  constructor(waits = false) {
    super({ highWaterMark: 100 });
    this.#waits = waits;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#take([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: () => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  #take(chunks: readonly Buffer[], done: () => void): void {
    this.calls.push(Buffer.concat(chunks).toString());
    if (this.#waits) this.release = done;
    else done();
  }
}

const watching = (said: string[]) => ({ onDelayed: () => said.push("delayed"), onTaken: () => said.push("taken") });

test("What is written in one turn goes out at its end, in one call and in its order", async () => {
  const sink = new Sink();
  const writer = new TurnWriter(sink);
  for (const piece of ["a", "b", "c"]) assert.equal(writer.write(Buffer.from(piece)), true);
  assert.deepEqual([sink.calls, writer.unsentBytes], [[], 3]);
  await nextTurn();
  assert.deepEqual([sink.calls, writer.unsentBytes], [["abc"], 0]);
  writer.write(Buffer.from("d"));
  await nextTurn();
  assert.deepEqual(sink.calls, ["abc", "d"]);
});

test("A large piece goes out at once, behind what was written before it", () => {
  const sink = new Sink();
  const writer = new TurnWriter(sink);
  writer.write(Buffer.from("a"));
  writer.write(Buffer.alloc(20_000, "x"));
  assert.deepEqual(
    sink.calls.map((call) => call.length),
    [1, 20_000],
  );
});

test("Not more is kept than a socket should have", () => {
  const sink = new Sink();
  const writer = new TurnWriter(sink);
  for (let piece = 0; piece < 1_000; piece += 1) writer.write(Buffer.alloc(10_000));
  assert.ok(writer.unsentBytes <= 65_536, `${writer.unsentBytes} bytes are kept`);
});

test("Who watches is told when the system has it all, and before that, that it has no room", async () => {
  const said: string[] = [];
  const sink = new Sink(true);
  const writer = new TurnWriter(sink);
  writer.write(Buffer.from("a"));
  writer.watch(watching(said));
  assert.deepEqual(said, []);
  await nextTurn();
  assert.deepEqual(said, ["delayed"]);
  sink.release?.();
  await nextTurn();
  sink.release?.();
  await nextTurn();
  assert.deepEqual(said, ["delayed", "taken"]);
});

test("Who watches a socket with room is told at the end of the turn, also when nothing was written", async () => {
  for (const piece of ["a", ""]) {
    const said: string[] = [];
    const writer = new TurnWriter(new Sink());
    if (piece !== "") writer.write(Buffer.from(piece));
    writer.watch(watching(said));
    assert.deepEqual(said, []);
    await nextTurn();
    assert.deepEqual(said, ["taken"]);
  }
});

test("A socket that has no room says so to the next write", async () => {
  const sink = new Sink(true);
  const writer = new TurnWriter(sink);
  assert.equal(writer.write(Buffer.alloc(200)), true);
  await nextTurn();
  assert.equal(writer.write(Buffer.from("a")), false);
});

test("Nothing is written to a socket that has gone meanwhile, and nobody is told that it was", async () => {
  const said: string[] = [];
  const sink = new Sink();
  const writer = new TurnWriter(sink);
  writer.write(Buffer.from("a"));
  writer.watch(watching(said));
  sink.destroy();
  await nextTurn();
  assert.deepEqual([sink.calls, said, writer.unsentBytes], [[], [], 0]);
});

test("One who throws does not keep the others from their writes", async () => {
  const caught: unknown[] = [];
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => caught.push(error));
  const bad = new TurnWriter(new Sink());
  bad.watch({
    onDelayed() {},
    onTaken() {
      throw new Error("a bug");
    },
  });
  const sinks = [new Sink(), new Sink()];
  for (const sink of sinks) new TurnWriter(sink).write(Buffer.from("a"));
  for (let turn = 0; turn < 3; turn += 1) await nextTurn();
  for (const listener of others) process.on("uncaughtException", listener);
  assert.deepEqual(
    sinks.map(({ calls }) => calls),
    [["a"], ["a"]],
  );
  assert.match(String(caught[0]), /a bug/);
});

test("Of one request alone, what nothing follows goes out at once, and the rest with the event", async (context) => {
  collectWrites(false);
  context.after(() => collectWrites(true));
  const sink = new Sink();
  const writer = new TurnWriter(sink);
  const said: string[] = [];
  writer.write(Buffer.from("a"), true);
  writer.watch(watching(said));
  assert.deepEqual([sink.calls, said], [["a"], []]);
  await Promise.resolve();
  writer.write(Buffer.from("b"));
  // Behind one that is kept.
  writer.write(Buffer.from("c"), true);
  assert.deepEqual(sink.calls, ["a"]);
  await new Promise((resolve) => process.nextTick(resolve));
  assert.deepEqual([sink.calls, said], [["a", "bc"], ["taken"]]);
});

test("Where writes are collected, so are those that nothing follows", async () => {
  const sink = new Sink();
  const writer = new TurnWriter(sink);
  writer.write(Buffer.from("a"), true);
  assert.deepEqual(sink.calls, []);
  await nextTurn();
  assert.deepEqual(sink.calls, ["a"]);
});
