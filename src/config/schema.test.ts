import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { configJsonSchema, knownKeys } from "./schema.ts";

interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaNode | false;
}

/** Every key of a schema with its path, those of a model under `models.*`. */
function keysOf(node: SchemaNode, path = ""): readonly (readonly [string, SchemaNode])[] {
  const children = Object.entries(node.properties ?? {}).map(([key, child]) => [`${path}${key}`, child] as const);
  const own = children.concat(children.flatMap(([childPath, child]) => keysOf(child, `${childPath}.`)));
  const more = node.additionalProperties;
  return [...own, ...(typeof more === "object" ? keysOf(more, `${path}*.`) : [])];
}

describe("the JSON Schema", () => {
  const schema = configJsonSchema() as SchemaNode;
  const keys = new Map(keysOf(schema));

  it("describes every key in a sentence", () => {
    assert.ok(keys.size > 30);
    for (const [path, node] of keys) assert.match(node.description ?? "", /^\S.*\.$/s, path);
  });

  it("states every default, as it is written in a file", () => {
    const without = new Set([
      "$schema",
      "models",
      "models.*.model_path",
      "models.*.port",
      "models.*.sleep_level",
      // What they are unless they are written is said elsewhere in the file.
      "models.*.preload",
      "models.*.max_in_flight",
      "models.*.max_queued",
      "models.*.simulate",
      "models.*.simulate.itl_ms",
      "models.*.simulate.prefill_tokens_per_s",
    ]);
    for (const [path, node] of keys) assert.equal("default" in node, !without.has(path), path);
    assert.equal(keys.get("port")?.default, 3000);
    assert.equal(keys.get("max_body_bytes")?.default, "64MiB");
    assert.equal(keys.get("policy.request_timeout_secs")?.default, 60);
    assert.equal(keys.get("policy.drain_timeout_secs")?.default, null);
    assert.equal(keys.get("models.*.startup_timeout_secs")?.default, 1800);
  });

  it("requires models, and nothing else that does not depend on their engine", () => {
    assert.deepEqual(schema.required, ["models"]);
    const model = keys.get("models")?.additionalProperties;
    assert.ok(typeof model === "object");
    assert.equal(model.required, undefined);
    assert.deepEqual(keys.get("models.*.simulate")?.required, ["itl_ms", "prefill_tokens_per_s"]);
  });

  it("allows no key that it does not name", () => {
    for (const node of [
      schema,
      keys.get("policy"),
      keys.get("engine_timeouts"),
      keys.get("models")?.additionalProperties,
      keys.get("models.*.simulate"),
    ]) {
      assert.ok(node !== undefined && node !== false);
      assert.ok(node.additionalProperties === false);
    }
  });

  it("is plain JSON", () => {
    assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema);
  });

  it("has the keys that messages suggest", () => {
    for (const key of knownKeys.top) assert.ok(keys.has(key), key);
    for (const key of knownKeys.policy) assert.ok(keys.has(`policy.${key}`), key);
    for (const key of knownKeys.engine_timeouts) assert.ok(keys.has(`engine_timeouts.${key}`), key);
    for (const key of knownKeys.model) assert.ok(keys.has(`models.*.${key}`), key);
    for (const key of knownKeys.simulate) assert.ok(keys.has(`models.*.simulate.${key}`), key);
  });
});
