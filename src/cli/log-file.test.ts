import { equal, rejects } from "node:assert/strict";
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readLog } from "./log-file.ts";

let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-logs-"));
  path = join(folder, "a.log");
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function lastLines(lines: number): Promise<string> {
  let out = "";
  await readLog({
    path,
    lines,
    follow: false,
    signal: null,
    async write(text) {
      out += text;
    },
  });
  return out;
}

/** Follows the file; `until` resolves when everything that was shown is `expected`. */
function following(lines = 10) {
  const controller = new AbortController();
  const shown = { text: "" };
  const ended = readLog({
    path,
    lines,
    follow: true,
    signal: controller.signal,
    async write(text) {
      shown.text += text;
    },
  });
  const until = async (expected: string): Promise<void> => {
    const endAtMs = performance.now() + 20_000;
    while (shown.text !== expected && performance.now() < endAtMs) await sleep(10);
    equal(shown.text, expected);
  };
  const end = async (): Promise<void> => {
    controller.abort();
    await ended;
  };
  return { until, end };
}

describe("the end of a file", () => {
  it("has as many lines as were asked for, or all there are", async () => {
    writeFileSync(path, "one\ntwo\nthree\n");
    equal(await lastLines(0), "");
    equal(await lastLines(1), "three\n");
    equal(await lastLines(2), "two\nthree\n");
    equal(await lastLines(3), "one\ntwo\nthree\n");
    equal(await lastLines(100), "one\ntwo\nthree\n");
  });

  it("counts a last line that has no end yet", async () => {
    writeFileSync(path, "one\ntwo\nthree");
    equal(await lastLines(1), "three\n");
    equal(await lastLines(2), "two\nthree\n");
  });

  it("is found in files much larger than what is read at once", async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} ${"x".repeat(index % 50)}`);
    writeFileSync(path, `${lines.join("\n")}\n`);
    for (const count of [1, 999, 5_000, 19_999, 20_000]) {
      equal(await lastLines(count), `${lines.slice(-count).join("\n")}\n`);
    }
  });

  it("is nothing where the file is empty, and an error where there is none", async () => {
    await rejects(lastLines(1), { code: "ENOENT" });
    writeFileSync(path, "");
    equal(await lastLines(1), "");
  });
});

describe("a file that is followed", () => {
  it("goes on as it grows", async () => {
    writeFileSync(path, "one\ntwo\n");
    const { until, end } = following(1);
    await until("two\n");
    appendFileSync(path, "three\nfo");
    await until("two\nthree\n");
    appendFileSync(path, "ur\n");
    await until("two\nthree\nfour\n");
    await end();
  });

  it("goes on after it was emptied", async () => {
    writeFileSync(path, "a long first line\n");
    const { until, end } = following();
    await until("a long first line\n");
    truncateSync(path, 0);
    appendFileSync(path, "new\n");
    await until("a long first line\nnew\n");
    await end();
  });

  it("goes on with the next file when it was set aside, and loses nothing of either", async () => {
    writeFileSync(path, "old\n");
    const { until, end } = following();
    await until("old\n");
    renameSync(path, `${path}.1`);
    appendFileSync(`${path}.1`, "last words\n");
    await until("old\nlast words\n");
    writeFileSync(path, "new\n");
    await until("old\nlast words\nnew\n");
    appendFileSync(path, "newer\n");
    await until("old\nlast words\nnew\nnewer\n");
    await end();
  });

  it("is waited for when it is not there yet", async () => {
    const { until, end } = following();
    writeFileSync(path, "first\n");
    await until("first\n");
    await end();
  });

  it("ends at once when that is asked for, whether or not it is there", async () => {
    await following().end();
    writeFileSync(path, "one\nhalf");
    const { until, end } = following();
    await until("one\n");
    await end();
    await until("one\nhalf\n");
  });
});
