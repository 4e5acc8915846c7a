/** TLS in the real program: from the files of the configuration to both listeners, and what is said when they are no good. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";
import { createKey, hashOfKey } from "../../src/base/api-key.ts";
import { selfSigned } from "../../src/platform/testing/self-signed.ts";
import { freePort } from "./support/free-port.ts";
import { scenario } from "./support/scenario.ts";

const IDENTITY = selfSigned();
const KEY = createKey();

function statusOver(port: number, path: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, ca: IDENTITY.cert, headers, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    }).on("error", reject);
  });
}

scenario("Both listeners speak TLS with the certificate of the configuration", { start: false }, async (stage) => {
  const tls = { cert_file: join(stage.folder, "cert.pem"), key_file: join(stage.folder, "key.pem") };
  writeFileSync(tls.cert_file, IDENTITY.cert);
  writeFileSync(tls.key_file, IDENTITY.key, { mode: 0o644 });
  const metrics_port = await freePort();
  const llmux = stage.launch(stage.writeConfig({ tls, metrics_port, admin_key: hashOfKey(KEY) }));
  const { address, metrics } = await llmux.log.until("listening");
  assert.deepEqual(
    [address, metrics],
    [`https://127.0.0.1:${stage.port}`, `https://127.0.0.1:${metrics_port}/metrics`],
  );
  assert.equal(await statusOver(stage.port, "/health"), 200);
  assert.equal(await statusOver(metrics_port, "/metrics"), 401);
  assert.equal(await statusOver(metrics_port, "/status", { "x-api-key": KEY }), 200);
  await assert.rejects(fetch(`http://127.0.0.1:${stage.port}/health`));
  assert.match(String((await llmux.log.until("certificate"))["problem"]), /is open to every user of this machine/);
});

scenario("A certificate that is not there is a start that fails, with a sentence", { start: false }, async (stage) => {
  const tls = { cert_file: join(stage.folder, "none.pem"), key_file: join(stage.folder, "none.key") };
  const llmux = stage.launch(stage.writeConfig({ tls }));
  const { reason } = await llmux.log.until("not started");
  assert.equal(reason, `the certificate in ${tls.cert_file} cannot be read: there is no such file`);
  assert.deepEqual(await llmux.exited, { code: 1, signal: null });
});
