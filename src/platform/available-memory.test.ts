/** The host's memory as the system tells it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { freemem, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { availableMemoryBytes, parseMemAvailable } from "./available-memory.ts";

const GIB = 1024 ** 3;
const folder = mkdtempSync(join(tmpdir(), "llmux-memory-"));

function write(name: string, text: string | null): string {
  const path = join(folder, name);
  rmSync(path, { force: true });
  if (text !== null) writeFileSync(path, text);
  return path;
}

/** With `kB` available on the machine, and what the container's files say; null: there is no such file. */
function available(kib: number | null, limit: string | null, used: string | null): number | null {
  return availableMemoryBytes({
    meminfo: write("meminfo", kib === null ? null : `MemTotal: 99999999 kB\nMemAvailable: ${kib} kB\n`),
    limit: write("limit", limit),
    used: write("used", used),
  });
}

describe("the memory that is available", () => {
  after(() => rmSync(folder, { recursive: true }));

  it("is read from its line, in KiB", () => {
    const text =
      "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\nBuffers: 1 kB\n";
    assert.equal(parseMemAvailable(text), 2_000_000 * 1024);
    assert.equal(parseMemAvailable("MemTotal: 1 kB\n"), null);
  });

  it("is no more than a container's limit leaves", () => {
    assert.equal(available(8 * 1024 ** 2, `${4 * GIB}\n`, `${GIB}\n`), 3 * GIB);
    assert.equal(available(2 * 1024 ** 2, `${4 * GIB}\n`, `${GIB}\n`), 2 * GIB);
    assert.equal(available(2 * 1024 ** 2, `${GIB}\n`, `${2 * GIB}\n`), 0);
  });

  it("is the machine's where a container has no limit, or there is none", () => {
    assert.equal(available(2 * 1024 ** 2, "max\n", `${GIB}\n`), 2 * GIB);
    assert.equal(available(2 * 1024 ** 2, null, null), 2 * GIB);
  });

  it("is not known where nothing tells", () => {
    assert.equal(available(null, null, null), null);
  });

  it("of this machine is neither nothing nor more than there is", () => {
    const bytes = availableMemoryBytes();
    assert.ok(bytes !== null && bytes > 0 && bytes <= totalmem(), `${bytes} of ${totalmem()}, ${freemem()} free`);
  });
});
