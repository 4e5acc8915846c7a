import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderBlock } from "./header-block.ts";

const FLAT = ["a", "1", "a", "2", "b", ""];

function write(flat: readonly string[]): string | null {
  return flat.includes("bad") ? null : flat.join("/");
}

test("A block is its names and values in their order, however it is read", () => {
  const block = new HeaderBlock(FLAT);
  assert.deepEqual(block.flat, FLAT);
  assert.deepEqual([...block].flat(), FLAT);
  assert.deepEqual([...new HeaderBlock([])], []);
});

test("One that has one more leaves the one before as it is", () => {
  const block = new HeaderBlock(FLAT);
  const [one, other] = [block.with("c", "3"), block.with("d", "4").with("e", "5")];
  assert.deepEqual(one.flat, [...FLAT, "c", "3"]);
  assert.deepEqual([...other].flat(), [...FLAT, "d", "4", "e", "5"]);
  assert.deepEqual(block.flat, FLAT);
});

test("Its lines are made once, and those of a longer one only as far as they are new", () => {
  const block = new HeaderBlock(FLAT);
  const asked: (readonly string[])[] = [];
  const writeAndNote = (flat: readonly string[]): string | null => {
    asked.push(flat);
    return write(flat);
  };
  const longer = block.with("c", "3");
  assert.equal(longer.linesBy(writeAndNote), "a/1/a/2/b/c/3");
  assert.equal(longer.linesBy(writeAndNote), "a/1/a/2/b/c/3");
  assert.equal(block.with("d", "4").linesBy(writeAndNote), "a/1/a/2/b/d/4");
  assert.deepEqual(asked, [FLAT, ["c", "3"], ["d", "4"]]);
});

test("Where one of them cannot be sent, none is", () => {
  const block = new HeaderBlock(["a", "bad"]);
  assert.equal(block.linesBy(write), null);
  assert.equal(block.with("b", "1").linesBy(write), null);
  assert.equal(new HeaderBlock(FLAT).with("b", "bad").linesBy(write), null);
  assert.equal(block.linesBy(write), null);
});
