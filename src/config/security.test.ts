import assert from "node:assert/strict";
import { test } from "node:test";
import { createKey, hashOfKey } from "../base/api-key.ts";
import { ConfigError, parseConfig, type Config } from "./load.ts";

const MODELS = "models: {a: {model_path: x, aliases: [b]}, c: {model_path: y}}";
const HASH = hashOfKey("one");
const OTHER_HASH = hashOfKey("two");

function parse(text: string, env: Record<string, string> = {}): Config {
  return parseConfig(`${text}\n${MODELS}\n`, "llmux.yaml", env);
}

function problems(text: string): readonly string[] {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ line, path, message }) => `${line} ${path} ${message}`);
  }
  return [];
}

test("Without a word about it, nobody is asked for a key and plain HTTP is spoken", () => {
  const { apiKeys, adminKeyHash, tls, metricsHost } = parse("");
  assert.deepEqual(
    { apiKeys, adminKeyHash, tls, metricsHost },
    { apiKeys: [], adminKeyHash: null, tls: null, metricsHost: "127.0.0.1" },
  );
});

test("A key is taken with its limits, and its models by their own names", () => {
  const { apiKeys } = parse(`api_keys:
  - {name: all, hash: "${HASH}"}
  - {name: some, hash: "${OTHER_HASH}", models: [b, a, c], requests_per_minute: 60, max_in_flight: 8, priority: low}`);
  assert.deepEqual(apiKeys, [
    { name: "all", hash: HASH, models: null, requestsPerMinute: null, inFlightMax: null, priority: null },
    { name: "some", hash: OTHER_HASH, models: ["a", "c"], requestsPerMinute: 60, inFlightMax: 8, priority: "low" },
  ]);
});

test("A hash may come from the environment", () => {
  assert.equal(parse('admin_key: "${ADMIN}"', { ADMIN: HASH }).adminKeyHash, HASH);
});

test("A key in the place of its hash is refused, and not repeated", () => {
  const plain = createKey();
  for (const text of [
    `api_keys: [{name: a, hash: ${plain}}]`,
    `api_keys: [${plain}]`,
    `api_keys: ${plain}`,
    `admin_key: ${plain}`,
    `admin_key: [${plain}]`,
    `api_keys: {a: ${plain}}`,
  ]) {
    const found = problems(text);
    assert.ok(found.length > 0, text);
    assert.doesNotMatch(found.join("\n"), /sk-llmux/, text);
  }
  assert.match(problems(`admin_key: ${plain}`).join(), /expected the hash of a key, .*llmux key new.*not shown/);
});

function key(more: string, hash = HASH): string {
  return `{name: one, hash: "${hash}"${more}}`;
}

test("What is wrong with keys is said where it stands", () => {
  for (const [text, expected] of [
    [
      `api_keys: [${key("")}, ${key("", OTHER_HASH)}]`,
      /api_keys\[1\]\.name .*no other key has, found "one", which api_keys\[0\] has/,
    ],
    [
      `api_keys: [${key("")}, {name: two, hash: "${HASH}"}]`,
      /api_keys\[1\]\.hash .*another key, found that of api_keys\[0\]/,
    ],
    [`api_keys: [${key(", models: [cc]")}]`, /api_keys\[0\]\.models\[0\] .*found "cc"; did you mean "c"\?/],
    [`api_keys: [${key(", models: []")}]`, /api_keys\[0\]\.models .*at least one model/],
    [`api_keys: [${key(", max_in_flight: 0")}]`, /max_in_flight .*at least 1/],
    [`api_keys: [${key(", requests_per_minute: 0.5")}]`, /requests_per_minute .*whole number/],
    [`api_keys: [${key(", rate: 5")}]`, /rate .*unknown key/],
    [`api_keys: [${key(", cert_file: x")}]`, /it belongs under tls/],
    [`api_keys: [{name: one}]`, /hash .*found nothing/],
    [`admin_key: "${HASH.toUpperCase()}"`, /admin_key .*hexadecimal/],
  ] as const) {
    assert.match(problems(text).join("\n"), expected, text);
  }
});

test("TLS needs both of its files, and their paths become absolute", () => {
  assert.match(problems("tls: {cert_file: c.pem}").join(), /key_file .*found nothing/);
  assert.match(problems("tls: {cert_file: c.pem, key_file: k.pem, ca: x}").join(), /tls\.ca .*unknown key/);
  const { tls } = parse("tls: {cert_file: /etc/c.pem, key_file: k.pem}");
  assert.equal(tls?.certFile, "/etc/c.pem");
  assert.equal(tls.keyFile, `${process.cwd()}/k.pem`);
});

test("Limits are taken, and those that would end everything are not", () => {
  const { limits } = parse("limits: {max_connections: 100, max_header_bytes: 32KiB, body_timeout_secs: 1m}");
  assert.deepEqual(limits, {
    connectionsMax: 100,
    headerBytesMax: 32_768,
    headerTimeoutMs: 30_000,
    bodyTimeoutMs: 60_000,
    keepAliveMs: 75_000,
    clientStallMs: 120_000,
  });
  for (const wrong of [
    "max_connections: 0",
    "max_header_bytes: 100",
    "header_timeout_secs: 0",
    "body_timeout_secs: 0.05",
    "keep_alive_secs: 0",
    "client_stall_secs: -1",
    "max_body_bytes: 5",
  ]) {
    assert.equal(problems(`limits: {${wrong}}`).length, 1, wrong);
  }
});

test("Beyond loopback there are warnings until there are keys, TLS, and an end to open metrics", () => {
  const keys = `api_keys: [{name: a, hash: "${HASH}"}]`;
  const tls = "tls: {cert_file: c, key_file: k}";
  const admin = `admin_key: "${OTHER_HASH}"`;
  const warnings = (...lines: readonly string[]): readonly string[] => {
    return parse(["host: 0.0.0.0", "policy: {policy_type: fifo}", ...lines].join("\n")).warnings.map(
      ({ path, message }) => `${path} ${message}`,
    );
  };
  const [noKeys, openMetrics, ...none] = warnings();
  assert.match(noKeys ?? "", /^host .*there are no keys; make some with llmux key new/);
  assert.match(openMetrics ?? "", /^host .*metrics are open to whoever reaches 0\.0\.0\.0/);
  assert.deepEqual(none, []);
  assert.match(warnings(keys, "metrics_port: 0").join("\n"), /^host .*in the clear; set tls[^\n]*$/);
  assert.deepEqual(warnings(keys, tls, "metrics_host: 127.0.0.1"), []);
  assert.deepEqual(warnings(keys, tls, admin), []);
  assert.match(warnings(keys, admin).join("\n"), /operators send their key to 0\.0\.0\.0 in the clear/);
  assert.match(
    parse("policy: {policy_type: fifo}\nmetrics_host: 10.0.0.1")
      .warnings.map(({ path }) => path)
      .join(),
    /^metrics_host$/,
  );
});
