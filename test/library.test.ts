/** The example of llmux as a library runs as it is printed in the documentation. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { text } from "node:stream/consumers";
import { claimPort } from "../src/platform/loopback-port.ts";

const EXAMPLE = fileURLToPath(new URL("../examples/embedded.ts", import.meta.url));

test("the embedded example serves two models in turn and ends by itself", async () => {
  const port = await claimPort("127.0.0.1", 0);
  const env = { ...process.env, PORT: String(port) };
  const child = spawn(process.execPath, [EXAMPLE], { stdio: ["ignore", "pipe", "inherit"], env, timeout: 30_000 });
  const exited = once(child, "exit");
  const output = await text(child.stdout);
  assert.deepEqual(await exited, [0, null]);
  const lines = output.trim().split("\n");
  assert.deepEqual(
    lines.map((line) => line.replace(/\d+ ms$/, "N ms").replace(/(says: one) .*/, "$1")),
    [
      "alpha is awake after N ms",
      "alpha says: one",
      "beta is awake after N ms",
      "beta says: one",
      "alpha is awake after N ms",
      "alpha says: one",
      "state: active alpha",
    ],
  );
});
