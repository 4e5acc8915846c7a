/**
 * API keys: how they are made, what is kept of them, and how one that a client shows is found again.
 *
 * What is kept is a SHA-256, and not one of the slow hashes that passwords need: those make it dear to try the few billion
 * things that people choose as passwords. A key of ours is 256 random bits; nobody tries his way through these at any speed, so a
 * slow hash would protect nothing and cost each request its time.
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";

const SCHEME = "sha256:";

/** What a hash looks like in a configuration: `sha256:` and 64 hexadecimal digits. */
export const KEY_HASH = /^sha256:[0-9a-f]{64}$/;

/** Begins each key: people know by it what they have found, and the log knows by it what not to show. */
export const KEY_PREFIX = "sk-llmux-";

const KEY_BYTES = 32;

/** Nothing longer is looked at; the keys that are made here have 52 characters. */
const PRESENTED_LENGTH_MAX = 512;

/** How much of a hash, in bytes, finds the few that it is compared with in full. */
const INDEX_BYTES = 4;

/** A new key, of 256 random bits. */
export function createKey(): string {
  return KEY_PREFIX + randomBytes(KEY_BYTES).toString("base64url");
}

/** The hash of a key, as it stands in a configuration. */
export function hashOfKey(key: string): string {
  return SCHEME + hash("sha256", key, "hex");
}

/**
 * Finds what belongs to a key, by its hash: the same time however many keys there are. Nothing is remembered here of keys that were right:
 * the hash costs 0.3 µs. (What a connection keeps is its last head, with the key in it; see `KnownHead`.)
 *
 * The full hashes are compared in constant time. The first bytes are looked up, which may take longer for a hash that begins as a
 * kept one does: whoever measured that would have learned 32 bits of a hash, from which no way leads to the key.
 */
export class KeyLookup<Owner> {
  readonly #byFirstBytes = new Map<string, { readonly digest: Buffer; readonly owner: Owner }[]>();

  /** Pairs of a hash, as `hashOfKey` makes it, and what belongs to its key. */
  constructor(entries: Iterable<readonly [hash: string, owner: Owner]>) {
    for (const [hashed, owner] of entries) {
      const digest = Buffer.from(hashed.slice(SCHEME.length), "hex");
      const index = digest.toString("latin1", 0, INDEX_BYTES);
      const row = this.#byFirstBytes.get(index) ?? [];
      row.push({ digest, owner });
      this.#byFirstBytes.set(index, row);
    }
  }

  /** Null if the key is none of these. */
  find(presented: string): Owner | null {
    if (presented.length > PRESENTED_LENGTH_MAX) return null;
    // Of all forms of a digest, a string of its bytes is the cheapest.
    const digest = hash("sha256", presented, "latin1");
    const row = this.#byFirstBytes.get(digest.slice(0, INDEX_BYTES));
    if (row === undefined) return null;
    const bytes = Buffer.from(digest, "latin1");
    return row.find((one) => timingSafeEqual(one.digest, bytes))?.owner ?? null;
  }
}
