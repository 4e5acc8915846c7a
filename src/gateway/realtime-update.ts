/** The message by which a realtime client names its model: `session.update`, with the name beside its type, or in its `session` as OpenAI has it. */

type JsonObject = Readonly<Record<string, unknown>>;

/** The name in it; null for any other message, and where it names none. */
export function modelNamedIn(text: string): string | null {
  const message = parse(text);
  if (message?.["type"] !== "session.update") return null;
  return nameIn(message) ?? nameIn(message["session"]);
}

/** The same message with `name` in the place of each name that is `meant`; null where there is none. */
export function withModelNamed(text: string, isMeant: (name: string) => boolean, name: string): string | null {
  const message = parse(text);
  if (message?.["type"] !== "session.update") return null;
  const renamed = (value: unknown): unknown => {
    const found = nameIn(value);
    return found !== null && isMeant(found) ? { ...(value as JsonObject), model: name } : value;
  };
  const session = renamed(message["session"]);
  const whole = renamed(session === message["session"] ? message : { ...message, session });
  return session === message["session"] && whole === message ? null : JSON.stringify(whole);
}

function nameIn(value: unknown): string | null {
  const name: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "model") : null;
  return typeof name === "string" && name !== "" ? name : null;
}

function parse(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}
