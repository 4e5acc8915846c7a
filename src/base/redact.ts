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

/** A name and what stands between it and its value, in JSON, in Python's notation, or plain: `"api_key": `, `HF_TOKEN=`. */
const NAME = /(["']?)\b([A-Za-z][\w-]{0,63})\1\s{0,8}([:=])\s{0,8}/g;

/** A value: a list, a text in quotes, or one word. */
const VALUE = /\[[^\]]{0,2000}\]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'[\]{}]+/y;

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
  return SECRET_SHAPES.reduce((shown, shape) => shown.replaceAll(shape, `$1${REDACTED}`), redactNamed(text));
}

function redactNamed(text: string): string {
  let shown = "";
  let done = 0;
  for (const match of text.matchAll(NAME)) {
    const [before, quote, name = "", separator] = match;
    // What follows a name that is none is looked at again: `args: HF_TOKEN=…`.
    if (match.index < done || !isSecretName(name)) continue;
    VALUE.lastIndex = match.index + before.length;
    const value = VALUE.exec(text)?.[0];
    if (value === undefined || /^(?:None|null|true|false|""|''|\[\])$/i.test(value)) continue;
    // In prose, as in "the key: it is missing", the word after the colon is no value.
    if (quote === "" && separator === ":" && !/^["'[]/.test(value)) continue;
    shown += text.slice(done, match.index + before.length) + REDACTED;
    done = match.index + before.length + value.length;
  }
  return shown + text.slice(done);
}
