import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { createKey, hashOfKey, KEY_HASH, KEY_PREFIX, KeyLookup } from "./api-key.ts";
import { REDACTED, redactText } from "./redact.ts";

test("A new key has 256 random bits, and no two are the same", () => {
  const keys = Array.from({ length: 100 }, createKey);
  assert.equal(new Set(keys).size, 100);
  for (const key of keys) {
    assert.ok(key.startsWith(KEY_PREFIX));
    assert.equal(Buffer.from(key.slice(KEY_PREFIX.length), "base64url").length, 32);
  }
});

test("A key is taken out of whatever is logged, wherever it stands", () => {
  for (const key of Array.from({ length: 200 }, createKey)) {
    assert.equal(redactText(`the client sent ${key}, which is wrong`), `the client sent ${REDACTED}, which is wrong`);
  }
});

test("A hash is the SHA-256 of the key's bytes, with the scheme in front", () => {
  const sha256 = createHash("sha256").update("grüße").digest("hex");
  assert.equal(hashOfKey("grüße"), `sha256:${sha256}`);
  assert.match(hashOfKey("a"), KEY_HASH);
});

test("A key is found by itself and by nothing else", () => {
  const keys = Array.from({ length: 1_000 }, createKey);
  const lookup = new KeyLookup(keys.map((key, index) => [hashOfKey(key), index] as const));
  keys.forEach((key, index) => assert.equal(lookup.find(key), index));
  const key = keys[0] ?? "";
  for (const wrong of ["", key.slice(0, -1), `${key}a`, ` ${key}`, key.toUpperCase(), hashOfKey(key), createKey()]) {
    assert.equal(lookup.find(wrong), null, wrong);
  }
});

test("Two hashes that begin alike are told apart", () => {
  const hashed = hashOfKey("right");
  const lookup = new KeyLookup([
    [`${hashed.slice(0, -1)}${hashed.endsWith("0") ? "1" : "0"}`, "other"],
    [hashed, "right"],
  ]);
  assert.equal(lookup.find("right"), "right");
});

test("Something endless is not even hashed, and is no key", () => {
  const long = "x".repeat(513);
  assert.equal(new KeyLookup([[hashOfKey(long), 1]]).find(long), null);
});
