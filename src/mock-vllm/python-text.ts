/** Texts as Python prints them: literals, lists, sets, dicts. */

/** A text or number as Python's `repr` writes it. */
export function pythonLiteral(value: string | number): string {
  if (typeof value === "number") return String(value);
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
  const escaped = value.replaceAll(/[\n\r\t\\]/g, (char) => escapes[char] ?? char);
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** `['a', 'b']`. */
export function pythonList(words: readonly string[]): string {
  return `[${words.map(pythonLiteral).join(", ")}]`;
}

/** `{'a', 'b'}`, in the order given; Python's own is arbitrary. */
export function pythonSet(words: readonly string[]): string {
  return `{${words.map(pythonLiteral).join(", ")}}`;
}

/** `{'a': 1, 'b': {'c': 'd'}}`. */
export function pythonDict(dict: PythonDict): string {
  const fields = Object.entries(dict).map(([key, value]) => {
    return `${pythonLiteral(key)}: ${typeof value === "object" ? pythonDict(value) : pythonLiteral(value)}`;
  });
  return `{${fields.join(", ")}}`;
}

/** What `pythonDict` prints. */
export interface PythonDict {
  readonly [key: string]: string | number | PythonDict;
}
