import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Clock } from "../ports/clock.ts";
import { selfSigned, type SelfSigned } from "./testing/self-signed.ts";
import { readTlsFiles, tlsFileWarnings, TlsFilesWatch, type TlsFilePaths } from "./tls-files.ts";

function filesOf(context: TestContext, { cert, key }: SelfSigned): TlsFilePaths {
  const folder = mkdtempSync(join(tmpdir(), "llmux-tls-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const paths = { certFile: join(folder, "cert.pem"), keyFile: join(folder, "key.pem") };
  writeFileSync(paths.certFile, cert);
  writeFileSync(paths.keyFile, key, { mode: 0o600 });
  return paths;
}

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

test("A certificate and its key are read", (context) => {
  const own = selfSigned();
  assert.deepEqual(readTlsFiles(filesOf(context, own)), own);
});

test("A chain is kept whole", (context) => {
  const own = selfSigned();
  const cert = own.cert + selfSigned().cert;
  assert.equal(readTlsFiles(filesOf(context, { ...own, cert })).cert, cert);
});

test("Files that cannot be used are refused in a sentence that names them", (context) => {
  const own = selfSigned();
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const locked = (type: "pkcs8" | "sec1"): string => {
    return privateKey.export({ type, format: "pem", cipher: "aes-256-cbc", passphrase: "secret" });
  };
  for (const [files, expected] of [
    [{ ...own, key: selfSigned().key }, /^the key in .*key\.pem is not that of the certificate in .*cert\.pem$/],
    [{ cert: own.key, key: own.cert }, /cert\.pem holds no certificate in PEM, but a key: .*swapped$/],
    [{ ...own, key: own.cert }, /key\.pem holds no private key in PEM, but a certificate$/],
    [{ ...own, cert: "" }, /cert\.pem holds no certificate in PEM$/],
    [{ ...own, cert: own.cert.slice(0, 200) }, /cert\.pem holds no certificate in PEM$/],
    [{ ...own, key: "junk" }, /key\.pem holds no private key in PEM$/],
    [{ ...own, key: locked("pkcs8") }, /key\.pem has a passphrase/],
    [{ ...own, key: locked("sec1") }, /key\.pem has a passphrase/],
  ] as const) {
    assert.throws(() => readTlsFiles(filesOf(context, files)), { message: expected });
  }
  const paths = filesOf(context, own);
  assert.throws(() => readTlsFiles({ ...paths, keyFile: "/nowhere/key.pem" }), {
    message: "the key in /nowhere/key.pem cannot be read: there is no such file",
  });
  assert.throws(() => readTlsFiles({ ...paths, certFile: tmpdir() }), { message: /cannot be read: it is a folder$/ });
});

test("A certificate out of date and a key that everybody can read are worth a warning", (context) => {
  const paths = filesOf(context, selfSigned());
  assert.deepEqual(tlsFileWarnings(paths, Date.now()), []);
  chmodSync(paths.keyFile, 0o644);
  assert.match(tlsFileWarnings(paths, Date.now()).join("\n"), /^the key in .* is open to every user .*$/);
  chmodSync(paths.keyFile, 0o640);
  const dayMs = 86_400_000;
  assert.match(
    tlsFileWarnings(paths, Date.now() + 2 * dayMs).join("\n"),
    /^the certificate in .* has ended on 20\d\d-/,
  );
  assert.match(tlsFileWarnings(paths, Date.now() - 2 * dayMs).join("\n"), /does not begin before 20\d\d-/);
});

test("New files are noticed; while they do not fit together the old ones count", (context) => {
  const paths = filesOf(context, selfSigned());
  let fire: (() => void) | null = null;
  const clock: Clock = {
    nowMs: () => 0,
    epochMs: () => 0,
    after(_, next) {
      fire = next;
      return { cancel: () => (fire = null) };
    },
  };
  const heard: string[] = [];
  const watch = new TlsFilesWatch(paths, clock, {
    onRenewed: ({ cert }) => heard.push(cert),
    onUnusable: (reason) => heard.push(reason),
  });
  const check = (): void => fire?.();
  check();
  assert.deepEqual(heard, []);
  const next = selfSigned();
  replace(paths.certFile, next.cert);
  check();
  assert.match(heard.join("\n"), /^the key in .* is not that of the certificate/);
  check();
  assert.equal(heard.length, 1);
  replace(paths.keyFile, next.key);
  check();
  assert.deepEqual(heard.slice(1), [next.cert]);
  rmSync(paths.keyFile);
  check();
  assert.match(heard[2] ?? "", /there is no such file$/);
  watch.close();
  assert.equal(fire, null);
});
