/** What requests and answers are written with alike (RFC 9110, section 5.5; RFC 9112, section 7.1). */

const SPACE = 0x20;
const TAB = 0x09;

/** The value of a header between two places of a text, without the blanks around it. */
export function headerValue(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** The value of a hexadecimal digit, given as its byte; -1 for any other byte. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const small = byte | 0x20;
  return small >= 0x61 && small <= 0x66 ? small - 0x57 : -1;
}
