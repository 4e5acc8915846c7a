import assert from "node:assert/strict";
import { test } from "node:test";
import { Chain, type Chained } from "./chain.ts";

class Item implements Chained<Item> {
  before: Item | null = null;
  after: Item | null = null;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

test("the chain keeps the order of arrival, wherever something is taken out", () => {
  for (const gone of ["a", "b", "c"]) {
    const items = ["a", "b", "c"].map((name) => new Item(name));
    const chain = new Chain<Item>();
    for (const item of items) chain.add(item);
    for (const item of chain) if (item.name === gone) chain.remove(item);
    const left = ["a", "b", "c"].filter((name) => name !== gone);
    assert.deepEqual(
      Array.from(chain, ({ name }) => name),
      left,
    );
    assert.equal(chain.oldest?.name, left[0]);
    assert.equal(chain.size, 2);
    const late = new Item("d");
    chain.add(late);
    assert.deepEqual(
      Array.from(chain, ({ name }) => name),
      [...left, "d"],
    );
  }
});

test("what has left a chain leads nowhere, and an empty one takes new ones", () => {
  const chain = new Chain<Item>();
  const items = ["a", "b", "c"].map((name) => new Item(name));
  for (const item of items) chain.add(item);
  for (const item of items) chain.remove(item);
  assert.equal(chain.oldest, null);
  assert.equal(chain.size, 0);
  assert.ok(items.every(({ before, after }) => before === null && after === null));
  chain.add(new Item("d"));
  assert.deepEqual(
    Array.from(chain, ({ name }) => name),
    ["d"],
  );
});
