/** `llmux explain`: why a running llmux has these models awake and not others. */
import { controlSocketPath } from "../base/state-files.ts";
import { fetchExplanation } from "../control/control-client.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { renderExplanation } from "./explain-text.ts";
import { print, type Shell } from "./shell.ts";
import { which, type WhichOptions } from "./where.ts";

/** What was asked for. */
export interface ExplainOptions extends WhichOptions {
  readonly json?: boolean;
  /** How many of the last switches; ≥ 0. */
  readonly last: number;
}

/** Explains everything, or one model, by name or alias. */
export async function explain(name: string | null, options: ExplainOptions, shell: Shell): Promise<ExitCode> {
  const { stateDir } = await which(options, shell);
  const document = await fetchExplanation(controlSocketPath(stateDir), { model: name, last: options.last });
  const [only] = document.models;
  const asked = name === null || only === undefined ? null : only.id;
  const text = renderExplanation(document, asked, shell.stdout.columns ?? null);
  await print(shell, options.json === true ? `${JSON.stringify(document, null, 2)}\n` : text);
  return EXIT.fine;
}
