/** Keeps the certificate for those who listen: reads it once, watches its files, says in the log what is wrong with them. */
import { describeError } from "../base/failure.ts";
import type { TlsIdentity } from "../base/tls-identity.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { readTlsFiles, tlsFileWarnings, TlsFilesWatch, type TlsFilePaths } from "./tls-files.ts";

/** What it works with. */
export interface TlsKeeperOptions {
  readonly paths: TlsFilePaths;
  readonly clock: Clock;
  readonly log: Log;
  /** The files have changed, and what they hold now can be used. */
  readonly onRenewed: (contents: TlsIdentity) => void;
}

/** One per llmux; nothing is read before it is asked for. */
export class TlsKeeper {
  readonly #options: TlsKeeperOptions;
  #contents: TlsIdentity | null = null;
  #watch: TlsFilesWatch | null = null;

  constructor(options: TlsKeeperOptions) {
    this.#options = options;
  }

  /** What the files hold. Throws an error that is a sentence if they cannot be used; watches them from then on if they can. */
  identity(): TlsIdentity {
    const { paths, clock } = this.#options;
    if (this.#contents !== null) return this.#contents;
    this.#contents = readTlsFiles(paths);
    this.#watch = new TlsFilesWatch(paths, clock, {
      onRenewed: (contents) => this.#renew(contents),
      onUnusable: (reason) => this.#complain(reason),
    });
    this.#warn();
    return this.#contents;
  }

  /** Stops watching. */
  close(): void {
    this.#watch?.close();
  }

  #renew(contents: TlsIdentity): void {
    try {
      this.#options.onRenewed(contents);
    } catch (error) {
      return this.#complain(describeError(error));
    }
    this.#contents = contents;
    this.#options.log.info("certificate renewed", { file: this.#options.paths.certFile });
    this.#warn();
  }

  #complain(reason: string): void {
    this.#options.log.error("certificate not renewed", {
      reason,
      hint: "the one that was read before is still in use",
    });
  }

  #warn(): void {
    const { paths, clock, log } = this.#options;
    for (const problem of tlsFileWarnings(paths, clock.epochMs())) log.warn("certificate", { problem });
  }
}
