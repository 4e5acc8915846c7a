import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, type FailureCode } from "../base/failure.ts";
import { errorAnswer } from "./errors.ts";

const STATUSES: Readonly<Record<FailureCode, number>> = {
  invalid_request: 400,
  model_not_found: 404,
  route_not_found: 404,
  method_not_allowed: 405,
  upgrade_required: 426,
  response_not_found: 404,
  client_stalled: 408,
  body_too_large: 413,
  body_not_kept: 500,
  invalid_api_key: 401,
  model_not_allowed: 403,
  rate_limit_exceeded: 429,
  too_many_in_flight: 429,
  too_many_connections: 503,
  queue_timeout: 504,
  queue_full: 429,
  wait_too_long: 503,
  start_failed: 503,
  wake_failed: 503,
  out_of_memory: 503,
  sleep_failed: 503,
  stop_failed: 503,
  engine_crashed: 502,
  engine_unreachable: 502,
  drain_timeout: 503,
  stopped_by_operator: 503,
  shutting_down: 503,
  internal_error: 500,
};

for (const [code, status] of Object.entries(STATUSES)) {
  test(`${code} is a ${status}, an error object in both dialects, with a time to retry if it is a 503 or a 429`, () => {
    const reason = failure(code as FailureCode, "why");
    const openai = errorAnswer(reason, "openai", "r1");
    assert.equal(openai.status, status);
    const { error } = JSON.parse(openai.body);
    assert.equal(error.message, "why");
    assert.equal(error.code, code);
    assert.equal(typeof error.type, "string");
    assert.equal(error.param, code === "model_not_found" || code === "model_not_allowed" ? "model" : null);
    assert.equal(openai.headers.includes("retry-after"), status === 503 || status === 429);
    const anthropic = errorAnswer(reason, "anthropic", "r1");
    assert.equal(anthropic.status, status);
    const { error: inner, ...rest } = JSON.parse(anthropic.body);
    assert.equal(inner.message, "why");
    assert.match(inner.type, /^[a-z_]+$/);
    assert.deepEqual(rest, { type: "error", request_id: "r1" });
  });
}

test("Retry-After is in whole seconds, rounded up, and never 0", () => {
  for (const [retryAfterMs, seconds] of [
    [0, "1"],
    [1, "1"],
    [1_000, "1"],
    [1_001, "2"],
    [299_900, "300"],
  ] as const) {
    const { headers } = errorAnswer(failure("start_failed", "why", { retryAfterMs }), "openai", "");
    assert.equal(headers[headers.indexOf("retry-after") + 1], seconds);
  }
});

test("A crash is a 502 for the request that met it, and a 503 for one that only came during its backoff", () => {
  assert.equal(errorAnswer(failure("engine_crashed", "why"), "openai", "").status, 502);
  const later = errorAnswer(failure("engine_crashed", "why", { retryAfterMs: 2_000 }), "openai", "");
  assert.equal(later.status, 503);
  assert.ok(!later.headers.includes("x-should-retry"));
});

test("The engine's last output is not told to clients", () => {
  const reason = failure("start_failed", "why", { lastOutput: ["HF_TOKEN=secret"] });
  assert.doesNotMatch(errorAnswer(reason, "openai", "").body, /secret/);
});
