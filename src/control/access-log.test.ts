import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../base/failure.ts";
import { FakeClock } from "../orchestrator/testing/fake-clock.ts";
import { RecordingLog } from "../../test/support/recording-log.ts";
import { AccessLog } from "./access-log.ts";
import { accessRecord } from "./testing/access-record.ts";

const NO_REQUEST = accessRecord({
  method: null,
  route: null,
  model: null,
  status: 400,
  outcome: "refused",
  failure: failure("invalid_request", "This is not a valid HTTP/1.1 request."),
});

interface Play {
  readonly clock: FakeClock;
  readonly access: AccessLog;
  /** How many come, one after the other, in the same moment. */
  readonly flood: (count: number) => void;
  /** The events since the last look: their names, and how many each tells of. */
  readonly news: () => string[];
}

function play(): Play {
  const clock = new FakeClock();
  const log = new RecordingLog();
  const access = new AccessLog({ log, clock });
  let seen = 0;
  return {
    clock,
    access,
    flood(count) {
      for (let left = count; left > 0; left -= 1) access.record(NO_REQUEST);
    },
    news() {
      const events = log.events
        .slice(seen)
        .map(({ event, fields }) => `${event} ${JSON.stringify(fields["count"] ?? 1)}`);
      seen = log.events.length;
      return events;
    },
  };
}

const TEN_LINES = Array.from({ length: 10 }, () => "request refused 1");

test("Of a flood of what is no request, a second has ten lines, and one with the number of the others", async () => {
  const { clock, flood, news } = play();
  flood(500);
  await clock.pass(400);
  flood(500);
  await clock.pass(599);
  assert.deepEqual(news(), TEN_LINES);
  await clock.pass(1);
  assert.deepEqual(news(), ["requests refused 990"]);
  flood(11);
  assert.deepEqual(news(), TEN_LINES);
  await clock.pass(1_000);
  assert.deepEqual(news(), ["requests refused 1"]);
  await clock.pass(60_000);
  assert.deepEqual([news(), clock.pending], [[], 0]);
});

test("Few of them have a line each, and nothing is told or waited for afterwards", async () => {
  const { clock, flood, news } = play();
  for (let second = 0; second < 3; second += 1) {
    flood(10);
    assert.equal(clock.pending, 0);
    assert.deepEqual(news(), TEN_LINES);
    await clock.pass(1_000);
  }
  assert.deepEqual(news(), []);
});

test("A request that is one has its line, whatever else there is", async () => {
  const { access, flood, news } = play();
  flood(1_000);
  news();
  for (let left = 100; left > 0; left -= 1) access.record(accessRecord({ outcome: "refused", status: 401 }));
  assert.equal(news().length, 100);
});

test("At the end it is told at once how many were left out", async () => {
  const { access, clock, flood, news } = play();
  flood(12);
  news();
  access.flush();
  assert.deepEqual([news(), clock.pending], [["requests refused 2"], 0]);
  access.flush();
  assert.deepEqual(news(), []);
});
