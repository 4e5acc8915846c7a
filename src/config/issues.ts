/** Turns what the schema finds into sentences with a place: the thing, what was expected, what was found. */

import { isScalar } from "yaml";
import type { z } from "zod";
import { suggest } from "../base/suggest.ts";
import { isUnresolved, type KeyPath, nodeAt, problemAt, type SourceDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import { knownKeys } from "./schema.ts";

const placeNames: Readonly<Record<keyof typeof knownKeys, string>> = {
  top: "at the top level",
  api_key: "in an item of api_keys",
  tls: "under tls",
  limits: "under limits",
  policy: "under policy",
  engine_timeouts: "under engine_timeouts",
  model: "under models.<name>",
  simulate: "under models.<name>.simulate",
  engine: "under models.<name>.engine",
  engine_command: "under models.<name>.engine.command",
  engine_external: "under models.<name>.engine.external",
};

/** The problems that a list of schema issues amounts to; `value` is what the schema was given. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], source: SourceDocument, value: unknown): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const inside = insideUnion(issue);
    if (inside !== null) return problemsOf(inside, source, value);
    if (isUnresolved(source, issue.path)) return [];
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(source, issue.path, key));
    return [problemAt(source, issue.path, `expected ${issue.message}, found ${found(source, issue.path, value)}`)];
  });
}

/** Of a value that may be one of several: what is wrong inside the one that is meant, the only one that a look inside was worth; null where there is none. */
function insideUnion(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] | null {
  if (issue.code !== "invalid_union") return null;
  const deeper = issue.errors.filter((one) =>
    one.every(({ path, code }) => path.length > 0 || code === "unrecognized_keys"),
  );
  const [only] = deeper;
  if (only === undefined || deeper.length > 1) return null;
  return only.map((inner) => Object.assign(inner, { path: issue.path.concat(inner.path) }));
}

/** What stands at `path`, briefly; a text that a variable was put into is shown as it was written, for it may be a secret. */
function found(source: SourceDocument, path: KeyPath, value: unknown): string {
  const node = nodeAt(source, path);
  const written = isScalar(node) ? source.written.get(node) : undefined;
  if (written !== undefined) return `what ${brief(written)} stands for`;
  const there = path.reduce<unknown>(childOf, value);
  return typeof there === "string" && mayBeKey(path)
    ? "a text that is not shown, for it may be a key"
    : describe(there);
}

/** Where only the hash of a key should stand, somebody may have written the key itself. */
function mayBeKey(path: KeyPath): boolean {
  const [top, , last] = path;
  return top === "admin_key" || (top === "api_keys" && (path.length < 3 || last === "hash"));
}

function unknownKey(source: SourceDocument, parent: KeyPath, key: string): Problem {
  const path = [...parent, key];
  return problemAt(source, path, `unknown key; ${hint(parent, key)}`, true);
}

function hint(parent: KeyPath, key: string): string {
  const here = knownKeys[roomOf(parent)];
  const elsewhere = Object.entries(placeNames).flatMap(([room, place]) => {
    return knownKeys[room as keyof typeof knownKeys].includes(key) ? [place] : [];
  });
  if (elsewhere.length > 0) return `it belongs ${elsewhere.join(" or ")}`;
  const near = suggest(key, here);
  return near === undefined ? `expected one of ${here.join(", ")}` : `did you mean ${near}?`;
}

function roomOf([top, , inner, kind]: KeyPath): keyof typeof knownKeys {
  if (top === "models" && inner === "engine") {
    return kind === undefined ? "engine" : kind === "command" ? "engine_command" : "engine_external";
  }
  if (top === "models") return inner === "simulate" ? "simulate" : "model";
  if (top === "api_keys") return "api_key";
  return top === "tls" || top === "limits" || top === "policy" || top === "engine_timeouts" ? top : "top";
}

function childOf(parent: unknown, key: PropertyKey): unknown {
  if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, key)) return undefined;
  return (parent as Readonly<Record<PropertyKey, unknown>>)[key];
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "string") return value === "" ? "an empty text" : `the text ${brief(value)}`;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  return Array.isArray(value) ? `a list of ${value.length}` : "a mapping";
}

function brief(text: string): string {
  const lengthMax = 60;
  return JSON.stringify(text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text);
}
