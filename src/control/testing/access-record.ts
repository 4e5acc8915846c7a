/** What the gateway says of a request when it is over, for tests of those who are told. */
import type { AccessRecord } from "../../ports/access-record.ts";

/** A request that was served, but for what `extra` says. */
export function accessRecord(extra: Partial<AccessRecord> = {}): AccessRecord {
  return {
    requestId: "r1",
    method: "POST",
    route: "/v1/chat/completions",
    model: "a",
    status: 200,
    outcome: "served",
    durationMs: 1500,
    arrivedAtEpochMs: 0,
    waitedMs: 0,
    promptTokens: null,
    outputTokens: null,
    bytesIn: 10,
    bytesOut: 20,
    ...extra,
  };
}
