/** `llmux sleep` and `llmux stop`: put a model away by hand. */
import { controlSocketPath } from "../base/state-files.ts";
import { operateModel } from "../control/control-client.ts";
import type { ModelStatus } from "../control/status.ts";
import type { OperatorCommand } from "../core/operator.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { stateText } from "./ps-table.ts";
import { print, type Shell } from "./shell.ts";
import { which, type WhichOptions } from "./where.ts";

/** Tells the running llmux, and says what it does about it. It does not wait until that is done. */
export async function operate(
  name: string,
  command: OperatorCommand,
  options: WhichOptions,
  shell: Shell,
): Promise<ExitCode> {
  const { stateDir } = await which(options, shell);
  const model = await operateModel(controlSocketPath(stateDir), name, command);
  await print(shell, `${outcome(model, command)}\n`);
  return EXIT.fine;
}

function outcome(model: ModelStatus, command: OperatorCommand): string {
  const what = `${model.id}: ${stateText(model)}`;
  if (model.state !== "draining") return what;
  const requests = model.in_flight === 1 ? "its request has" : `its ${model.in_flight} requests have`;
  const then = command === "stop" || model.level === 3 ? "it is stopped" : "it is put to sleep";
  return `${what}; ${then} when ${requests} ended`;
}
