/** A trace that its disk has no room for. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { TRACE_HEADER } from "./trace-file-end.ts";

const MODULE = new URL("./trace-file-end.ts", import.meta.url).href;

/** Appends a line that fits, some that do not, and, when they were refused, one that fits again. */
const SCRIPT = `
const { TraceFileEnd } = await import(${JSON.stringify(MODULE)});
const trace = await TraceFileEnd.open(process.argv[1]);
await trace.append("1.000,a,1,1\\n");
const refused = await trace.append("2.000,a,1,1\\n".repeat(1000)).then(() => "nothing", (error) => error.code);
await trace.append("3.000,a,1,1\\n");
console.log(refused, await trace.isInPlace());
`;

it("is left whole when only a part of what is appended finds room", () => {
  const folder = mkdtempSync(join(tmpdir(), "llmux-trace-end-"));
  try {
    const file = join(folder, "trace.csv");
    // No file of this process may be longer than a few blocks, as if the disk were full.
    const limited = `trap '' XFSZ; ulimit -f 4; exec "$0" --input-type=module -e "$1" "$2"`;
    const { stdout, stderr } = spawnSync("sh", ["-c", limited, process.execPath, SCRIPT, file], { encoding: "utf8" });
    assert.equal(stdout, "EFBIG true\n", stderr);
    assert.equal(readFileSync(file, "utf8"), `${TRACE_HEADER}\n1.000,a,1,1\n3.000,a,1,1\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
