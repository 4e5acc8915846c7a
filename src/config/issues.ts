/** Turns what the schema finds into sentences with a place: the thing, what was expected, what was found. */

import { isScalar } from "yaml";
import type { z } from "zod";
import { suggest } from "../base/suggest.ts";
import { isUnresolved, type KeyPath, nodeAt, problemAt, type SourceDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import { knownKeys } from "./schema.ts";

const placeNames: Readonly<Record<keyof typeof knownKeys, string>> = {
  top: "at the top level",
  policy: "under policy",
  engine_timeouts: "under engine_timeouts",
  model: "under models.<name>",
  simulate: "under models.<name>.simulate",
};

/** The problems that a list of schema issues amounts to; `value` is what the schema was given. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], source: SourceDocument, value: unknown): Problem[] {
  return issues.flatMap((issue) => {
    if (isUnresolved(source, issue.path)) return [];
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(source, issue.path, key));
    return [problemAt(source, issue.path, `expected ${issue.message}, found ${found(source, issue.path, value)}`)];
  });
}

/** What stands at `path`, briefly; a text that a variable was put into is shown as it was written, for it may be a secret. */
function found(source: SourceDocument, path: KeyPath, value: unknown): string {
  const node = nodeAt(source, path);
  const written = isScalar(node) ? source.written.get(node) : undefined;
  if (written !== undefined) return `what ${brief(written)} stands for`;
  return describe(path.reduce<unknown>(childOf, value));
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

function roomOf(parent: KeyPath): keyof typeof knownKeys {
  if (parent[0] === "models") return parent[2] === "simulate" ? "simulate" : "model";
  if (parent[0] === "policy" || parent[0] === "engine_timeouts") return parent[0];
  return "top";
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
