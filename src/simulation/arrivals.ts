/** From a trace's rows to the requests of a run: the chosen part, each for a model of the configuration. */
import { suggest } from "../base/suggest.ts";
import type { ModelConfig } from "../config/config.ts";
import { newThinning, type Selection } from "./thinning.ts";
import { readTrace, TraceError, type TraceRow } from "./trace-file.ts";

/** One request of a run. */
export interface Arrival {
  /** On the run's clock: 0 is the first arrival. */
  readonly atMs: number;
  /** The name in the configuration. */
  readonly model: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** The requests of a run. */
export interface Arrivals {
  /** In the order of their times; at least one. */
  readonly list: readonly Arrival[];
  /** Where the run's clock begins on the trace's, in s. */
  readonly beginsAtS: number;
}

/** Reads the whole trace, also what is not played. Throws `TraceError` when it cannot be used, or when nothing of it is left. */
export async function loadArrivals(
  file: string,
  models: readonly ModelConfig[],
  selection: Selection,
): Promise<Arrivals> {
  const names = new Map(models.flatMap(({ name, aliases }) => [name, ...aliases].map((each) => [each, name] as const)));
  const isKept = newThinning(selection);
  const list: Arrival[] = [];
  let beginsAtS = 0;
  let rows = 0;
  for await (const row of readTrace(file)) {
    rows += 1;
    const model = names.get(row.model);
    if (model === undefined) throw unknownModel(file, row, names);
    if (!isKept(row)) continue;
    if (list.length === 0) beginsAtS = row.timestampS;
    const { timestampS, promptTokens, outputTokens } = row;
    list.push({ atMs: (timestampS - beginsAtS) * 1000, model, promptTokens, outputTokens });
  }
  if (rows === 0) throw new TraceError(file, 1, "expected at least one request, found the header alone");
  if (list.length === 0) {
    const { fromS, toS, keep } = selection;
    const window = `seconds ${fromS} to ${toS === Infinity ? "the end" : toS}`;
    throw new TraceError(file, 1, `none of ${rows} requests is left in ${window} when ${keep} of them is kept`);
  }
  return { list, beginsAtS };
}

function unknownModel(file: string, { line, model }: TraceRow, names: ReadonlyMap<string, string>): TraceError {
  const near = suggest(model, names.keys());
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  const known = [...names.keys()].join(", ");
  const expected = `expected a model of the configuration or an alias (${known})`;
  return new TraceError(file, line, `model: ${expected}, found ${JSON.stringify(model)}${hint}`);
}
