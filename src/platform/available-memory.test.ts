/** The host's memory as the system tells it. */
import assert from "node:assert/strict";
import { freemem, totalmem } from "node:os";
import { describe, it } from "node:test";
import { availableMemoryBytes, parseMemAvailable } from "./available-memory.ts";

describe("the memory that is available", () => {
  it("is read from its line, in KiB", () => {
    const text =
      "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\nBuffers: 1 kB\n";
    assert.equal(parseMemAvailable(text), 2_000_000 * 1024);
  });

  it("is not known where the line or the file is missing", () => {
    assert.equal(parseMemAvailable("MemTotal: 1 kB\n"), null);
    assert.equal(availableMemoryBytes("/proc/no-such-file"), null);
  });

  it("of this machine is neither nothing nor more than there is", () => {
    const bytes = availableMemoryBytes();
    assert.ok(bytes !== null && bytes > 0 && bytes <= totalmem(), `${bytes} of ${totalmem()}, ${freemem()} free`);
  });
});
