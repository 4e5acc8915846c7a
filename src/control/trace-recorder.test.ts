/** What a recorded trace holds, whatever order requests end in and whatever happens to its file. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { failure, type FailureCode } from "../base/failure.ts";
import { FakeClock } from "../orchestrator/testing/fake-clock.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import { readTrace } from "../simulation/trace-file.ts";
import { RecordingLog } from "../../test/support/recording-log.ts";
import { until } from "../../test/support/until.ts";
import { HOLD_MS_MAX, TraceRecorder } from "./trace-recorder.ts";
import { TRACE_HEADER } from "./trace-file-end.ts";

let folder = "";
let files = 0;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-recorder-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function newFile(): string {
  files += 1;
  return join(folder, `${files}.csv`);
}

/** A request of 12 and 34 tokens that was served. */
function access(arrivedAtEpochMs: number, extra: Partial<AccessRecord> = {}): AccessRecord {
  return {
    requestId: "r",
    method: "POST",
    route: "/v1/chat/completions",
    model: "a",
    status: 200,
    outcome: "served",
    arrivedAtEpochMs,
    durationMs: 1,
    waitedMs: 0,
    bytesIn: 100,
    bytesOut: 100,
    promptTokens: 12,
    outputTokens: 34,
    ...extra,
  };
}

class Stage {
  readonly clock = new FakeClock();
  readonly log = new RecordingLog();
  readonly file: string;
  readonly recorder: TraceRecorder;
  oldestMs: number | null = null;

  constructor(file = newFile(), hearsOfOldest = true) {
    this.file = file;
    const oldest = hearsOfOldest ? { oldestInProgress: () => this.oldestMs } : {};
    this.recorder = new TraceRecorder({ file, clock: this.clock, log: this.log, ...oldest });
  }

  /** What is in the file, without the header. */
  lines(): readonly string[] {
    return linesOf(this.file);
  }

  async untilLines(count: number): Promise<readonly string[]> {
    await until(`${count} lines`, async () => {
      await this.clock.pass(1_000);
      return (statSync(this.file, { throwIfNoEntry: false })?.size ?? 0) > 0 && this.lines().length >= count;
    });
    return this.lines();
  }
}

function linesOf(file: string): readonly string[] {
  const [header, ...lines] = readFileSync(file, "utf8").split("\n");
  assert.equal(header, TRACE_HEADER);
  assert.equal(lines.pop(), "");
  return lines;
}

function refused(code: FailureCode): Partial<AccessRecord> {
  return { outcome: "refused", status: 503, failure: failure(code, "no") };
}

async function recorded(...records: readonly AccessRecord[]): Promise<readonly string[]> {
  const { recorder, file } = new Stage();
  for (const record of records) recorder.record(record);
  await recorder.close();
  return linesOf(file);
}

describe("a recorded trace", () => {
  it("has a line for each request, in the order of arrival, and can be simulated as it is", async () => {
    const stage = new Stage();
    for (const atMs of [5_000, 4_000.4, 6_000]) stage.recorder.record(access(atMs));
    await stage.recorder.close();
    assert.deepEqual(stage.lines(), ["4.000,a,12,34", "5.000,a,12,34", "6.000,a,12,34"]);
    const rows = [];
    for await (const row of readTrace(stage.file)) rows.push(row.timestampS);
    assert.deepEqual(rows, [4, 5, 6]);
  });

  it("is for its owner's eyes", async () => {
    const stage = new Stage();
    stage.recorder.record(access(1));
    await stage.recorder.close();
    assert.equal(statSync(stage.file).mode & 0o777, 0o600);
  });

  it("waits for an older request that is in progress", async () => {
    const stage = new Stage();
    stage.oldestMs = 5_000;
    for (const atMs of [4_000, 7_000]) stage.recorder.record(access(atMs));
    assert.deepEqual(await stage.untilLines(1), ["4.000,a,12,34"]);
    stage.oldestMs = null;
    stage.recorder.record(access(5_000));
    assert.deepEqual(await stage.untilLines(3), ["4.000,a,12,34", "5.000,a,12,34", "7.000,a,12,34"]);
    await stage.recorder.close();
  });

  it("does not wait for ever: what ends too late gets the time of the last one written", async () => {
    const stage = new Stage();
    stage.oldestMs = 5_000;
    stage.recorder.record(access(7_000));
    await stage.clock.pass(HOLD_MS_MAX);
    assert.deepEqual(statSync(stage.file, { throwIfNoEntry: false }), undefined);
    assert.deepEqual(await stage.untilLines(1), ["7.000,a,12,34"]);
    stage.recorder.record(access(5_000));
    stage.oldestMs = null;
    assert.deepEqual(await stage.untilLines(2), ["7.000,a,12,34", "7.000,a,12,34"]);
    await stage.recorder.close();
  });

  it("is held back for as long where nobody says what is in progress", async () => {
    const stage = new Stage(newFile(), false);
    stage.recorder.record(access(7_000));
    await stage.clock.pass(HOLD_MS_MAX);
    assert.deepEqual(statSync(stage.file, { throwIfNoEntry: false }), undefined);
    assert.deepEqual(await stage.untilLines(1), ["7.000,a,12,34"]);
    await stage.recorder.close();
  });

  it("goes on where the run before has stopped, and never back in time", async () => {
    const first = new Stage();
    first.recorder.record(access(9_000));
    await first.recorder.close();
    const second = new Stage(first.file);
    for (const atMs of [8_000, 10_000]) second.recorder.record(access(atMs));
    await second.recorder.close();
    assert.deepEqual(second.lines(), ["9.000,a,12,34", "9.000,a,12,34", "10.000,a,12,34"]);
  });

  it("loses the half line of a run that was killed", async () => {
    const file = newFile();
    writeFileSync(file, `${TRACE_HEADER}\n1.000,a,1,1\n2.000,a,1`);
    const stage = new Stage(file);
    stage.recorder.record(access(3_000));
    await stage.recorder.close();
    assert.deepEqual(stage.lines(), ["1.000,a,1,1", "3.000,a,12,34"]);
  });

  it("begins anew where its file was put aside or emptied", async () => {
    const stage = new Stage();
    stage.recorder.record(access(1_000));
    await stage.untilLines(1);
    renameSync(stage.file, `${stage.file}.old`);
    stage.recorder.record(access(2_000));
    assert.deepEqual(await stage.untilLines(1), ["2.000,a,12,34"]);
    writeFileSync(stage.file, "");
    stage.recorder.record(access(3_000));
    assert.deepEqual(await stage.untilLines(1), ["3.000,a,12,34"]);
    await stage.recorder.close();
    assert.deepEqual(linesOf(`${stage.file}.old`), ["1.000,a,12,34"]);
  });
});

describe("what is recorded", () => {
  it("is what models were asked for, also where they did not answer", async () => {
    const lines = await recorded(
      access(1_000, { outcome: "abandoned", status: 499 }),
      access(2_000, { outcome: "failed", status: 502 }),
      access(3_000, refused("queue_timeout")),
      access(4_000, refused("queue_full")),
      access(5_000, refused("invalid_request")),
      access(6_000, refused("rate_limit_exceeded")),
      access(7_000, { status: 400 }),
      access(8_000, { model: null }),
      access(9_000, { model: "a,b" }),
    );
    assert.deepEqual(
      lines.map((line) => line.split(",")[0]),
      ["1.000", "2.000", "3.000", "4.000"],
    );
  });

  it("has tokens that nobody counted as others of the model have them", async () => {
    const unknown = { promptTokens: null, outputTokens: null };
    const lines = await recorded(
      access(1_000, { ...unknown, outcome: "abandoned" }),
      access(2_000, { promptTokens: 20, outputTokens: 50 }),
      access(3_000, { promptTokens: 30, outputTokens: 70 }),
      access(4_000, { ...unknown, bytesIn: 40, outcome: "abandoned" }),
      access(5_000, { ...unknown, bytesIn: 41 }),
      access(6_000, { ...unknown, model: "b", outcome: "failed" }),
    );
    // 100 bytes are 25 tokens until something is known; then 200 bytes had 50.
    assert.deepEqual(lines, [
      "1.000,a,25,256",
      "2.000,a,20,50",
      "3.000,a,30,70",
      "4.000,a,10,60",
      "5.000,a,11,0",
      "6.000,b,25,256",
    ]);
  });
});

describe("a file that cannot be written", () => {
  it("is told of once, and tried again until it can", async () => {
    const below = join(folder, "not-there-yet");
    const stage = new Stage(join(below, "trace.csv"));
    stage.recorder.record(access(1_000));
    await until("told", async () => {
      await stage.clock.pass(1_000);
      return stage.log.events.length > 0;
    });
    await stage.clock.pass(5_000);
    stage.recorder.record(access(2_000));
    await stage.clock.pass(5_000);
    assert.equal(stage.log.events.length, 1);
    const [told] = stage.log.named("trace not recorded");
    assert.match(String(told?.fields["reason"]), /no such file or directory/);
    mkdirSync(below);
    assert.deepEqual(await stage.untilLines(2), ["1.000,a,12,34", "2.000,a,12,34"]);
    await until("told", () => stage.log.named("trace recorded again").length === 1);
    await stage.recorder.close();
  });

  it("is left alone where it is no trace", async () => {
    const file = newFile();
    writeFileSync(file, "my diary\n");
    for (const extra of ["", `${TRACE_HEADER}\n`]) {
      appendFileSync(file, extra);
      const stage = new Stage(file);
      stage.recorder.record(access(1_000));
      await stage.recorder.close();
      assert.match(String(stage.log.named("trace not recorded")[0]?.fields["reason"]), /^expected a trace that begins/);
      assert.equal(readFileSync(file, "utf8").slice(0, 9), "my diary\n");
    }
  });

  it("is left alone where its end is none of a trace", async () => {
    const file = newFile();
    const text = `${TRACE_HEADER}\nyesterday,a,1,1\n`;
    writeFileSync(file, text);
    const stage = new Stage(file);
    stage.recorder.record(access(1_000));
    await stage.recorder.close();
    assert.match(String(stage.log.named("trace not recorded")[0]?.fields["reason"]), /^expected a last line/);
    assert.equal(readFileSync(file, "utf8"), text);
  });

  it("may be a folder, or anything else that is no file", async () => {
    for (const file of [folder, "/dev/null"]) {
      const stage = new Stage(file);
      stage.recorder.record(access(1_000));
      await stage.recorder.close();
      assert.equal(stage.log.named("trace not recorded").length, 1, file);
    }
  });
});
