/** A configuration file as a tree that remembers where each key and value stands. JSON is read as the YAML that it is. */

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import { ConfigError, type Problem } from "./problem.ts";

/** A key's place in the tree: names of keys, indexes of list items. */
export type KeyPath = readonly PropertyKey[];

/** How many faults of form are reported. */
const faultsShownMax = 5;

/** Makes a problem at an offset in the text. */
type ProblemAt = (offset: number, path: string, message: string) => Problem;

/** A file that is well-formed YAML with a mapping at its root. */
export interface SourceDocument {
  readonly file: string;
  readonly text: string;
  readonly tree: Document;
  readonly root: YAMLMap;
  readonly lines: LineCounter;
  /** Texts that variables were put into, as they were written: what came out may be a secret and is not repeated in messages. */
  readonly written: Map<Scalar, string>;
  /** Texts with a variable that is not set: reported once, and no further complaints about what they contain. */
  readonly unresolved: Set<Scalar>;
}

/** Reads `text`; throws `ConfigError` with every fault of form: broken YAML, duplicate keys, no mapping, several documents. */
export function readDocument(text: string, file: string): SourceDocument {
  const lines = new LineCounter();
  const tree = asConfigError(file, () =>
    parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, logLevel: "error" }),
  );
  const at: ProblemAt = (offset, path, message) => ({ file, path, message, ...placeOf(lines, offset) });

  const faults = [...tree.errors, ...tree.warnings];
  if (faults.length > 0) throw new ConfigError(faultProblems(faults, at));
  const root = tree.contents;
  if (root === null || (isScalar(root) && root.value === null)) {
    throw new ConfigError([at(0, "", "expected a configuration with at least one model, found an empty file")]);
  }
  if (!isMap(root)) {
    const found = isSeq(root) ? "a list" : "a single value";
    throw new ConfigError([at(startOf(root), "", `expected a mapping of keys to values, found ${found}`)]);
  }
  const problems = asConfigError(file, () => keyProblems(tree, at));
  if (problems.length > 0) throw new ConfigError(problems);
  return { file, text, tree, root, lines, written: new Map(), unresolved: new Set() };
}

/** The plain value of the whole document; throws `ConfigError` if aliases multiply without end. */
export function plainValue(source: SourceDocument): unknown {
  return asConfigError(source.file, () => source.tree.toJS());
}

/** The node at `path`, aliases followed; undefined where there is none. */
export function nodeAt(source: SourceDocument, path: KeyPath): Node | undefined {
  const step = walk(source, path);
  return step.complete ? resolved(source, step.value) : undefined;
}

/** Whether the text at `path` has a variable that is not set, so that nothing more can be said about it. */
export function isUnresolved(source: SourceDocument, path: KeyPath): boolean {
  const node = nodeAt(source, path);
  return isScalar(node) && source.unresolved.has(node);
}

/**
 * A problem at the value of `path`, or at its key where `onKey` says so or the value is absent. If the path leads nowhere (a
 * missing key), at the nearest key above it.
 */
export function problemAt(source: SourceDocument, path: KeyPath, message: string, onKey = false): Problem {
  const { key, value, complete } = walk(source, path);
  const node = (onKey || !complete ? key : value) ?? value ?? key;
  const name = pathText(path);
  const offset = node === undefined ? 0 : startOf(node);
  return problemAtOffset(source, offset, name, name === "" ? message : `${name}: ${message}`);
}

/** A problem at a place in the text, counted in characters from its start. */
export function problemAtOffset(source: SourceDocument, offset: number, path: string, message: string): Problem {
  return { file: source.file, path, message, ...placeOf(source.lines, offset) };
}

/** Writes a path as people do, `models.qwen-14b.extra_args[2]`; names with other characters stand in quotes. */
export function pathText(path: KeyPath): string {
  return path
    .map((key) => {
      if (typeof key === "number") return `[${key}]`;
      const name = String(key);
      return `.${/^[\w$/:-]+$/.test(name) ? name : JSON.stringify(name)}`;
    })
    .join("")
    .replace(/^\./, "");
}

/** The text of a mapping's key; empty for a key that is null. */
export function keyText(key: unknown): string {
  const value: unknown = isScalar(key) ? key.value : undefined;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  return typeof value === "string" ? value : "";
}

/** Where a node's text begins, in characters from the start of the file. */
export function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

interface Step {
  readonly key: Node | undefined;
  readonly value: Node | undefined;
  readonly complete: boolean;
}

function walk(source: SourceDocument, path: KeyPath): Step {
  let step: Step = { key: undefined, value: source.root, complete: true };
  for (const name of path) {
    const parent = resolved(source, step.value);
    if (isMap(parent)) {
      const pair = parent.items.find((item) => keyText(item.key) === String(name));
      if (pair === undefined) return { ...step, complete: false };
      step = { key: pair.key as Node, value: (pair.value ?? undefined) as Node | undefined, complete: true };
    } else if (isSeq(parent) && typeof name === "number") {
      const item = parent.items[name] as Node | undefined;
      step = { key: item, value: item, complete: item !== undefined };
    } else {
      return { ...step, complete: false };
    }
  }
  return step;
}

function resolved(source: SourceDocument, node: Node | undefined): Node | undefined {
  return isAlias(node) ? node.resolve(source.tree) : node;
}

function placeOf(lines: LineCounter, offset: number): { readonly line: number; readonly column: number } {
  const { line, col } = lines.linePos(offset);
  // An offset in an empty file has no line yet.
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** Faults of form as problems: the first few, one a place, for after a slip the parser trips over all that follows. */
function faultProblems(faults: readonly YAMLError[], at: ProblemAt): Problem[] {
  const first = new Map<number, YAMLError>();
  for (const fault of faults) {
    if (!first.has(fault.pos[0])) first.set(fault.pos[0], fault);
    if (first.size === faultsShownMax) break;
  }
  return [...first].map(([offset, fault]) => at(offset, "", syntaxMessage(fault)));
}

function syntaxMessage(fault: YAMLError): string {
  if (fault.code === "MULTIPLE_DOCS") return "expected one document, found a second one (after ---)";
  return `expected well-formed YAML: ${fault.message}`;
}

/** Keys that occur twice, keys that are no plain text, and aliases without an anchor: YAML's own, but nothing we can use. */
function keyProblems(tree: Document, at: ProblemAt): Problem[] {
  const problems: Problem[] = [];
  visit(tree, {
    Map(_, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        const offset = startOf((key ?? map) as Node);
        if (key !== null && !isScalar(key)) {
          problems.push(at(offset, "", "expected a key that is a plain text, found a list, a mapping or an alias"));
          continue;
        }
        const name = keyText(key);
        if (seen.has(name)) {
          problems.push(at(offset, name, `${pathText([name])}: expected each key once, found it twice in one mapping`));
        }
        seen.add(name);
      }
    },
    Alias(_, alias) {
      if (alias.resolve(tree) === undefined) {
        problems.push(at(startOf(alias), "", `expected an anchor &${alias.source} before this alias, found none`));
      }
    },
  });
  return problems;
}

/** The YAML library throws plain errors for what is nested too deeply or multiplies through aliases. */
function asConfigError<Value>(file: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    const reason = error instanceof RangeError ? "it is nested too deeply" : String(error);
    throw new ConfigError([{ file, line: 1, column: 1, path: "", message: `expected readable YAML: ${reason}` }]);
  }
}
