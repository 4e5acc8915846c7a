/** How many events a second the scheduler takes, alone: what that costs with few models and with many. */
import { medianOf } from "./distribution.ts";
import type { Check, Report } from "./report.ts";
import {
  newScheduler,
  recordWorkload,
  send,
  silentEffects,
  type RecordedWorkload,
  type SchedulerEvent,
} from "./scheduler-workload.ts";

const WAITING = 10_000;
const EVENTS = 100_000;

const MODELS = [10, 100, 1_000] as const;
const DEVICES = [1, 8] as const;

/** Every workload is played so often; the first time does not count, since the code is not warm then. */
const ROUNDS = 5;

/** A round ends after so long, and counts what it has done. */
const ROUND_MS_MAX = 15_000;

/** Looks at the time after so many events. */
const EVENTS_A_LOOK = 1_000;

/** Plays all workloads. */
export function schedulerSpeed(): Promise<Report> {
  const rows: (string | number)[][] = [];
  const checks: Check[] = [];
  for (const devices of DEVICES) {
    const microseconds = MODELS.map((models) => {
      const workload = recordWorkload({ models, devices, waiting: WAITING, events: EVENTS });
      const each = Array.from({ length: ROUNDS }, () => microsecondsAnEvent(workload)).slice(1);
      const median = medianOf(each);
      rows.push([devices, models, 1e6 / median, median, Math.min(...each), Math.max(...each), ...mixOf(workload)]);
      return median;
    });
    const [few = 0, , many = 0] = microseconds;
    const where = devices === 1 ? "one device" : `${devices} devices`;
    checks.push(
      { what: `${where}, 1,000 models`, measured: 1e6 / many, bound: "at least", target: 100_000, unit: "events/s" },
      { what: `${where}, from 10 to 1,000 models`, measured: many / few, bound: "at most", target: 2, unit: "times" },
    );
  }
  const columns = ["devices", "models", "events/s", "µs an event", "least", "most", ...MIX];
  return Promise.resolve({
    tables: [{ title: `the scheduler alone, ${WAITING.toLocaleString("en")} waiting`, columns, rows }],
    checks,
    notes: [
      `bounded-wait, 64 in flight; medians of ${ROUNDS - 1} rounds of ${EVENTS.toLocaleString("en")} events after a round that does not count. The shares of the events`,
      "in %. The workload is recorded first, so nothing but the scheduler runs while it is measured.",
    ],
  });
}

const MIX = [
  "request",
  "released",
  "abandoned",
  "awake",
  "asleep",
  "alarm",
] as const satisfies SchedulerEvent["kind"][];

function mixOf({ events }: RecordedWorkload): number[] {
  return MIX.map((kind) => (100 * events.filter((event) => event.kind === kind).length) / events.length);
}

function microsecondsAnEvent({ size, buildUp, events }: RecordedWorkload): number {
  const scheduler = newScheduler(size, silentEffects());
  for (const event of buildUp) send(scheduler, event);
  const beganAtMs = performance.now();
  let sent = 0;
  let tookMs = 0;
  while (sent < events.length && tookMs < ROUND_MS_MAX) {
    for (const event of events.slice(sent, sent + EVENTS_A_LOOK)) send(scheduler, event);
    sent += EVENTS_A_LOOK;
    tookMs = performance.now() - beganAtMs;
  }
  return (tookMs * 1000) / Math.min(sent, events.length);
}
