/** Takes secrets out of what is about to be logged or shown: command lines, environments, and any text. */

/** What stands in for a secret. */
export const REDACTED = "[redacted]";

/** The last word of a name whose value is a secret: `--api-key`, `HF_TOKEN`, `ssl_keyfile_password`. */
const SECRET_WORDS: ReadonlySet<string> = new Set([
  "apikey",
  "apikeys",
  "key",
  "keys",
  "token",
  "secret",
  "password",
  "passwd",
  "passphrase",
  "credential",
  "credentials",
  "authorization",
]);

/** Secrets that can be told by how they look, wherever they stand; the group before a secret is kept. */
const SECRET_SHAPES: readonly RegExp[] = [
  // Tokens of Hugging Face, OpenAI and GitHub.
  /\b()(?:hf_[A-Za-z0-9]{8,}|sk-[\w-]{8,}|gh[a-z]_[A-Za-z0-9]{16,})/g,
  /(\bBearer\s+)[\w.~+/-]+=*/gi,
  // The password in an address: scheme://user:password@host.
  /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/gi,
];

/** `"api_key": "…"`, `'hf_token': ['…']`, `api_key=…`, in JSON, in Python's notation, or plain. */
const NAMED_VALUE =
  /(["']?)\b([A-Za-z][\w-]{0,63})\1(\s*[:=]\s*)(\[[^\]]{0,2000}\]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'[\]{}]+)/g;

/** True for the name of a flag, a variable or a key whose value must not be shown. */
export function isSecretName(name: string): boolean {
  const words = name
    .replace(/^-+/, "")
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .split(/[-_.]/);
  return SECRET_WORDS.has(words.at(-1) ?? "");
}

/**
 * A command line that can be shown: the values of flags and of `NAME=value` arguments with secret names are replaced, and so is
 * what looks like a secret elsewhere. A flag of that kind may have several values: all up to the next flag go.
 */
export function redactCommand(command: readonly string[]): readonly string[] {
  let inSecret = false;
  return command.map((argument) => {
    const [, name = "", value] = /^(-{0,2}[A-Za-z][\w.-]*)(?:=(.*))?$/s.exec(argument) ?? [];
    if (argument.startsWith("--")) {
      inSecret = isSecretName(name);
      if (value === undefined) return argument;
      return inSecret ? `${name}=${REDACTED}` : `${name}=${redactText(value)}`;
    }
    if (inSecret) return REDACTED;
    return value !== undefined && isSecretName(name) ? `${name}=${REDACTED}` : redactText(argument);
  });
}

/** An environment that can be shown. */
export function redactEnvironment(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, isSecretName(name) ? REDACTED : redactText(value)]),
  );
}

/** A text that can be shown. It finds what it can recognise; a secret without a name and without a known look stays. */
export function redactText(text: string): string {
  const named = text.replaceAll(NAMED_VALUE, (whole, quote: string, name: string, between: string, value: string) => {
    if (!isSecretName(name) || /^(?:None|null|true|false|""|''|\[\])$/i.test(value)) return whole;
    // In prose, as in "the key: it is missing", the word after the colon is no value.
    if (quote === "" && between.startsWith(":") && !/^["'[]/.test(value)) return whole;
    return `${quote}${name}${quote}${between}${REDACTED}`;
  });
  return SECRET_SHAPES.reduce((shown, shape) => shown.replaceAll(shape, `$1${REDACTED}`), named);
}
