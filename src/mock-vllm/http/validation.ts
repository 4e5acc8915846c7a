/** A body or a query that does not fit its route: found, and refused in the words of vLLM's validation. */
import { unreachable } from "../../base/assert.ts";
import { pythonDict } from "../python-text.ts";
import { ApiError } from "./api-errors.ts";
import type { JsonObject } from "./exchange.ts";

/** One thing that does not fit, as pydantic names it. */
export interface Problem {
  readonly type: string;
  /** Where: `body.messages`, `query.level`. */
  readonly loc: string;
  readonly msg: string;
  readonly input: unknown;
  readonly ctx?: Readonly<Record<string, string | number>>;
}

/** What a route expects of one field of its JSON. */
export interface Field {
  readonly name: string;
  readonly kind: "text" | "list" | "integer" | "number" | "flag" | "texts" | "text or list";
  /** Neither absent nor null; other fields may be both. */
  readonly required?: true;
}

const problemsMax = 10;
const inputCharsMax = 200;

/** Throws a 400 that names every field that does not fit, in the order given. */
export function checkFields(json: JsonObject, fields: readonly Field[]): void {
  const problems = fields.flatMap((field) => problemsOf(json, field));
  if (problems.length > 0) throw invalid(problems);
}

/** The 400 for what does not fit; `problems` holds at least one, and the first gives its place as `param`. */
export function invalid(problems: readonly Problem[]): ApiError {
  const plural = problems.length === 1 ? "error" : "errors";
  const lines = problems.slice(0, problemsMax).map((problem) => `  ${asPython(problem)}`);
  const more = problems.length - lines.length;
  if (more > 0) lines.push(`  ...and ${more} more ${plural}`);
  const message = [`${problems.length} validation ${plural}:`, ...lines].join("\n");
  return new ApiError(400, "Bad Request", message, problems[0]?.loc ?? null);
}

/** What is wrong with a text that should be a whole number (`-3`, ` 7`, `1.0`); undefined if nothing is. */
export function integerTextProblem(text: string, loc: string): Problem | undefined {
  if (/^\s*[+-]?\d+(\.0*)?\s*$/.test(text)) return undefined;
  const msg = "Input should be a valid integer, unable to parse string as an integer";
  return { type: "int_parsing", loc, msg, input: text };
}

function problemsOf(json: JsonObject, { name, kind, required }: Field): readonly Problem[] {
  const value = json[name];
  const loc = `body.${name}`;
  if (value === undefined) {
    return required === true ? [{ type: "missing", loc, msg: "Field required", input: json }] : [];
  }
  if (value === null && required !== true) return [];
  const problem = (type: string, msg: string): Problem => ({ type, loc, msg, input: value });
  const notText = typeof value === "string" ? [] : [problem("string_type", "Input should be a valid string")];
  const notList = Array.isArray(value) ? [] : [problem("list_type", "Input should be a valid list")];
  switch (kind) {
    case "text":
      return notText;
    case "list":
      return notList;
    case "text or list":
      return notText.length > 0 && notList.length > 0 ? [...notText, ...notList] : [];
    case "texts": {
      const wrong = [...notList, ...elementsThatAreNoTexts(value, loc)];
      return notText.length > 0 && wrong.length > 0 ? [...notText, ...wrong] : [];
    }
    case "integer":
    case "number":
      return numberProblems(value, loc, kind);
    case "flag":
      return flagProblems(value, problem);
    default:
      return unreachable(kind);
  }
}

function elementsThatAreNoTexts(value: unknown, loc: string): readonly Problem[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return list.flatMap((input, at) =>
    typeof input === "string"
      ? []
      : [{ type: "string_type", loc: `${loc}.${at}`, msg: "Input should be a valid string", input }],
  );
}

function numberProblems(value: unknown, loc: string, kind: "integer" | "number"): readonly Problem[] {
  const [type, word] = kind === "integer" ? ["int", "integer"] : ["float", "number"];
  if (typeof value === "boolean") return [];
  if (typeof value === "number") {
    if (kind === "number" || Number.isInteger(value)) return [];
    const msg = "Input should be a valid integer, got a number with a fractional part";
    return [{ type: "int_from_float", loc, msg, input: value }];
  }
  if (typeof value !== "string")
    return [{ type: `${type}_type`, loc, msg: `Input should be a valid ${word}`, input: value }];
  if (kind === "integer") {
    const problem = integerTextProblem(value, loc);
    return problem === undefined ? [] : [problem];
  }
  if (value.trim() !== "" && !Number.isNaN(Number(value))) return [];
  const msg = "Input should be a valid number, unable to parse string as a number";
  return [{ type: "float_parsing", loc, msg, input: value }];
}

function flagProblems(value: unknown, problem: (type: string, msg: string) => Problem): readonly Problem[] {
  if (isTrue(value) || [false, 0].includes(value as never)) return [];
  if (typeof value === "string" && /^(0|off|f|false|n|no)$/i.test(value)) return [];
  return typeof value === "object"
    ? [problem("bool_type", "Input should be a valid boolean")]
    : [problem("bool_parsing", "Input should be a valid boolean, unable to interpret input")];
}

/** Whether a flag of a request is set, in any of the spellings that pydantic takes for true. */
export function isTrue(value: unknown): boolean {
  return value === true || value === 1 || (typeof value === "string" && /^(1|on|t|true|y|yes)$/i.test(value));
}

/** The problem as Python prints a dict. */
function asPython({ type, loc, msg, input, ctx }: Problem): string {
  return pythonDict({ type, loc, msg, input: shortened(input), ...(ctx === undefined ? {} : { ctx }) });
}

/** A value as the message repeats it: containers only by their size. */
function shortened(input: unknown): string {
  if (Array.isArray(input)) return `<list of ${input.length} items>`;
  if (typeof input === "object" && input !== null) return `<dict of ${Object.keys(input).length} items>`;
  const words = new Map<unknown, string>([
    [null, "None"],
    [true, "True"],
    [false, "False"],
  ]);
  const text = typeof input === "string" ? input : (words.get(input) ?? JSON.stringify(input));
  return text.length > inputCharsMax ? `${text.slice(0, inputCharsMax)}...[truncated]` : text;
}
