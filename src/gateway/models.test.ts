import assert from "node:assert/strict";
import { test } from "node:test";
import { Models } from "./models.ts";

test("A model is found by its id, then by its alias, and by nothing else", () => {
  const models = new Models([
    { id: "a", aliases: ["c", "b"] },
    { id: "b", aliases: [] },
  ]);
  assert.equal(models.find("a")?.id, "a");
  assert.equal(models.find("c")?.id, "a");
  assert.equal(models.find("b")?.id, "b");
  for (const name of ["A", "", " a", "__proto__", "constructor"]) assert.equal(models.find(name), null);
});

test("The message for an unknown model stays short however long the name and however many the models", () => {
  const models = new Models(Array.from({ length: 500 }, (_, index) => ({ id: `model-${index}`, aliases: [] })));
  const { message, code } = models.notFound("x".repeat(1_000_000));
  assert.equal(code, "model_not_found");
  assert.ok(message.length < 2_000);
  assert.match(message, /and 450 more/);
});

test("A model that was probably meant is named, also when it is an alias", () => {
  const models = new Models([{ id: "qwen-14b", aliases: ["gpt-4o-mini"] }]);
  assert.match(models.notFound("gpt-4o-mino").message, /Did you mean `gpt-4o-mini`\?/);
  assert.doesNotMatch(models.notFound("something else").message, /Did you mean/);
});
