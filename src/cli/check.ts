/** `llmux check`: says everything that is wrong with a configuration, or what it comes to. */
import type { Config, ModelConfig } from "../config/config.ts";
import { ConfigError, loadConfig } from "../config/load.ts";
import { planPlacement, type PlacementPlan } from "../config/placement-plan.ts";
import { formatProblem } from "../config/problem.ts";
import { gpuCell, gpuTexts, needCell, policyText } from "./check-plan.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { print, type Shell } from "./shell.ts";
import { missingProgram } from "./missing-program.ts";
import { renderTable } from "./table.ts";
import { configFile } from "./where.ts";
import { wrapped } from "./wrapped.ts";

/** Problems and warnings go to stderr, a line each; the summary to stdout. */
export async function check(file: string | undefined, shell: Shell): Promise<ExitCode> {
  const path = configFile(file, shell);
  try {
    const config = loadConfig(path, shell.env);
    for (const warning of config.warnings) shell.stderr.write(`${formatProblem(warning)} (warning)\n`);
    const missing = missingProgram(config, shell.env["PATH"]);
    if (missing !== null) shell.stderr.write(`${path}: ${missing} (warning)\n`);
    await print(shell, summary(path, config, shell.stdout.columns ?? null));
    return EXIT.fine;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems } = error;
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    shell.stderr.write(`${error.message}\n${count}\n`);
    return EXIT.usage;
  }
}

function summary(path: string, config: Config, width: number | null): string {
  const { models, warnings, host, port, metricsPort, stateDir, tls } = config;
  const counts = [
    models.length === 1 ? "1 model" : `${models.length} models`,
    ...(warnings.length === 0 ? [] : [warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`]),
  ];
  const address = `${tls === null ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const plan = planPlacement(models, config.gpus);
  const columns = [
    { title: "MODEL", shrinkTo: 12 },
    { title: "PATH", shrinkTo: 12 },
    "GPUS",
    "NEED",
    "SLEEP",
    "PORT",
    { title: "ALIASES", shrinkTo: 7 },
  ];
  const rows = models.map((model) => row(model, config, plan));
  return [
    `${path}: fine, ${counts.join(", ")}`,
    `listens on ${address}, ${metricsPort === 0 ? "no metrics" : `metrics on port ${metricsPort}`}`,
    asksFor(config),
    `keeps its state in ${stateDir}`,
    wrapped(policyText(config, plan), width),
    ...gpuTexts(config, plan).map((text) => wrapped(text, width)),
    "",
    renderTable(columns, rows, width),
  ].join("\n");
}

function asksFor({ apiKeys, adminKeyHash, metricsPort }: Config): string {
  const clients = apiKeys.length === 0 ? "nobody for a key" : `clients for one of ${apiKeys.length} API keys`;
  return `asks ${clients}${adminKeyHash === null || metricsPort === 0 ? "" : ", operators for theirs"}`;
}

/** What is loaded, or who is asked. */
function whatItRuns({ modelPath, engine }: ModelConfig): string {
  if (engine.kind === "external") return engine.url;
  return modelPath === "" && engine.kind === "command" ? (engine.start[0] ?? "") : modelPath;
}

function row(model: ModelConfig, config: Config, plan: PlacementPlan): readonly string[] {
  return [
    model.name,
    whatItRuns(model),
    gpuCell(model, config, plan),
    needCell(model, plan),
    model.sleepLevel === 3 ? "3 (stop)" : String(model.sleepLevel),
    model.port === null ? "free" : String(model.port),
    model.aliases.join(","),
  ];
}
