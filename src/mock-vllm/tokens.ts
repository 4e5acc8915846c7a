/** A tokenizer without a vocabulary: every token is up to three bytes of UTF-8, so that its number can be read back. */

const bytesPerToken = 3;

/** The tokens of a text; each is `length << 24 | bytes`, so that text and tokens can be told from each other exactly. */
export function tokenize(text: string): number[] {
  const bytes = Buffer.from(text);
  const tokens: number[] = [];
  for (let at = 0; at < bytes.length; at += bytesPerToken) {
    const length = Math.min(bytesPerToken, bytes.length - at);
    tokens.push(length * 2 ** 24 + bytes.readUIntBE(at, length));
  }
  return tokens;
}

/** How many tokens a text has, without making them. */
export function countTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / bytesPerToken);
}

/** The text of some tokens; tokens that are none of ours become U+FFFD. */
export function detokenize(tokens: readonly number[]): string {
  const parts = tokens.map((token) => {
    const length = Math.floor(token / 2 ** 24);
    if (!Number.isInteger(token) || length < 1 || length > bytesPerToken) return Buffer.from("\uFFFD");
    const bytes = Buffer.alloc(length);
    const value = token % 2 ** 24;
    if (value >= 2 ** (8 * length)) return Buffer.from("\uFFFD");
    bytes.writeUIntBE(value, 0, length);
    return bytes;
  });
  return Buffer.concat(parts).toString();
}
