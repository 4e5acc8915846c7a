/** The certificate and its key: read, checked, and read again when they change. */
import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { describeError } from "../base/failure.ts";
import { TLS_VERSION_MIN, type TlsIdentity } from "../base/tls-identity.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";

/** Where they are. */
export interface TlsFilePaths {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Who wants to hear of changes. */
export interface TlsFilesListener {
  readonly onRenewed: (contents: TlsIdentity) => void;
  /** They have changed and cannot be used as they are; what was read before still counts. */
  readonly onUnusable: (reason: string) => void;
}

/** How often is looked whether they have changed, in ms. Certificates are renewed days before they end. */
const CHECK_EVERY_MS = 10_000;

/** Reads both. Throws an error that is a sentence, and names the file, if they cannot be used. */
export function readTlsFiles({ certFile, keyFile }: TlsFilePaths): TlsIdentity {
  const cert = read(certFile, "the certificate");
  const key = read(keyFile, "the key");
  const certificate = certificateIn(cert, certFile);
  if (!certificate.checkPrivateKey(keyIn(key, keyFile))) {
    throw new Error(`the key in ${keyFile} is not that of the certificate in ${certFile}`);
  }
  try {
    createSecureContext({ cert, key, minVersion: TLS_VERSION_MIN });
  } catch (error) {
    throw new Error(`${certFile} and ${keyFile} cannot be used for TLS`, { cause: error });
  }
  return { cert, key };
}

/** What should be said of files that can be used, in sentences: the certificate is out of date, others can read the key. */
export function tlsFileWarnings({ certFile, keyFile }: TlsFilePaths, nowEpochMs: number): readonly string[] {
  const { validFromDate, validToDate } = certificateIn(read(certFile, "the certificate"), certFile);
  const warnings: string[] = [];
  if (validToDate.getTime() < nowEpochMs) {
    warnings.push(`the certificate in ${certFile} has ended on ${validToDate.toISOString()}`);
  } else if (validFromDate.getTime() > nowEpochMs) {
    warnings.push(`the certificate in ${certFile} does not begin before ${validFromDate.toISOString()}`);
  }
  if ((statSync(keyFile).mode & 0o007) !== 0) {
    warnings.push(`the key in ${keyFile} is open to every user of this machine: chmod 600 closes it`);
  }
  return warnings;
}

/** Looks from time to time whether the files have changed. It begins at once; `close` ends it. */
export class TlsFilesWatch {
  readonly #paths: TlsFilePaths;
  readonly #clock: Clock;
  readonly #listener: TlsFilesListener;
  #seen: string;
  #timer: TimerHandle;

  constructor(paths: TlsFilePaths, clock: Clock, listener: TlsFilesListener) {
    this.#paths = paths;
    this.#clock = clock;
    this.#listener = listener;
    this.#seen = this.#look();
    this.#timer = clock.after(CHECK_EVERY_MS, () => this.#check());
  }

  /** Stops looking. */
  close(): void {
    this.#timer.cancel();
  }

  #check(): void {
    this.#timer = this.#clock.after(CHECK_EVERY_MS, () => this.#check());
    const now = this.#look();
    if (now === this.#seen) return;
    this.#seen = now;
    let contents: TlsIdentity;
    try {
      contents = readTlsFiles(this.#paths);
    } catch (error) {
      // Perhaps one of the two has been written and the other one is to follow: then they change again.
      return this.#listener.onUnusable(describeError(error));
    }
    this.#listener.onRenewed(contents);
  }

  /** What changes whenever a file is written, or another one is put in its place. */
  #look(): string {
    return [this.#paths.certFile, this.#paths.keyFile].map(fingerprint).join(" ");
  }
}

function fingerprint(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch {
    return "none";
  }
}

function read(path: string, what: string): string {
  let reason: string;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    reason = reasonOf(error);
  }
  throw new Error(`${what} in ${path} cannot be read: ${reason}`);
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "this user may not read it";
  if (code === "EISDIR") return "it is a folder";
  return describeError(error);
}

function certificateIn(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    const found = pem.includes("PRIVATE KEY-----") ? ", but a key: cert_file and key_file may have been swapped" : "";
    throw new Error(`${path} holds no certificate in PEM${found}`);
  }
}

function keyIn(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    if (/ENCRYPTED/.test(pem)) {
      throw new Error(`the key in ${path} has a passphrase: llmux cannot be asked for one, so write it out without`);
    }
    const found = pem.includes("BEGIN CERTIFICATE-----") ? ", but a certificate" : "";
    throw new Error(`${path} holds no private key in PEM${found}`);
  }
}
