/** `${NAME}` in the texts of a configuration: replaced by environment variables. `$${` stands for a literal `${`. */

import { type Document, isPair, isScalar, isSeq, type Node, type Pair, parse, type Scalar, visit } from "yaml";
import { PLACEHOLDERS } from "../base/engine-settings.ts";
import { type KeyPath, keyText, nodeAt, pathText, problemAtOffset, type SourceDocument, startOf } from "./document.ts";
import type { Problem } from "./problem.ts";

/** The variables that a configuration may refer to; `process.env` is one. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Puts the variables of `env` into every text of the document (values, not keys). Returns a problem for each variable that is not
 * set, and for each `${` that is not followed by a name and `}`.
 */
export function putInVariables(source: SourceDocument, env: Environment): Problem[] {
  const problems: Problem[] = [];
  visit(source.tree, {
    Scalar(position, scalar, ancestors) {
      if (position === "key" || typeof scalar.value !== "string" || !scalar.value.includes("${")) return;
      const written = scalar.value;
      const path = written.includes("${") ? pathOf(scalar, ancestors) : [];
      // In the orders of an engine these stand for what is known only when it is started.
      const kept = path[0] === "models" && path[2] === "engine" ? PLACEHOLDERS : NONE;
      const report = (reference: string, message: string): void => {
        source.unresolved.add(scalar);
        const name = pathText(path);
        problems.push(problemAtOffset(source, offsetIn(source, scalar, reference), name, `${name}: ${message}`));
      };
      scalar.value = replaced(written, env, kept, report);
      if (scalar.value !== written) source.written.set(scalar, written);
    },
  });
  return problems;
}

/**
 * If the value at `path` was written as nothing but one `${NAME}`, and what came out reads as a number, a boolean or null in YAML,
 * makes it that and returns true. For places where a text is not what is wanted.
 */
export function convertLoneVariable(source: SourceDocument, path: KeyPath): boolean {
  const node = nodeAt(source, path);
  if (!isScalar(node) || typeof node.value !== "string") return false;
  if (!/^\$\{[^}]*\}$/.test(source.written.get(node) ?? "")) return false;
  const value = scalarValue(node.value);
  if (value === undefined) return false;
  node.value = value;
  return true;
}

const NONE: ReadonlySet<string> = new Set();

function replaced(
  text: string,
  env: Environment,
  kept: ReadonlySet<string>,
  report: (reference: string, message: string) => void,
): string {
  return text.replaceAll(/\$\$\{|\$\{([^}]*)(\}?)/g, (reference: string, name: string | undefined, end: string) => {
    if (name === undefined) return "${";
    if (kept.has(name) && end !== "") return reference;
    if (end === "" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      report("${", "expected ${NAME} with the name of an environment variable; for a literal ${ write $${");
      return reference;
    }
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value === undefined) report(reference, `expected the environment variable ${name}, found that it is not set`);
    return value ?? reference;
  });
}

/** Where in the file a reference stands; in a folded or escaped text that may only be the start of the text. */
function offsetIn(source: SourceDocument, scalar: Scalar, reference: string): number {
  const start = startOf(scalar);
  const end = scalar.range?.[1] ?? start;
  const inside = source.text.slice(start, end).indexOf(reference);
  return start + Math.max(0, inside);
}

/** The path of a node that was met below `ancestors`, the outermost first. */
function pathOf(node: Node, ancestors: readonly (Document | Node | Pair)[]): KeyPath {
  const chain = [...ancestors, node];
  return chain.flatMap((parent, depth): KeyPath => {
    if (isPair(parent)) return [keyText(parent.key)];
    return isSeq(parent) ? [parent.items.indexOf(chain[depth + 1])] : [];
  });
}

function scalarValue(text: string): number | boolean | null | undefined {
  try {
    const value: unknown = parse(text, { logLevel: "silent" });
    return typeof value === "number" || typeof value === "boolean" || value === null ? value : undefined;
  } catch {
    return undefined;
  }
}
