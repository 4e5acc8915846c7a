/** `llmux validate`: shows, level by level, that a model survives its sleeps on this machine. */
import { orchestratorOptions } from "../app.ts";
import { describeError } from "../base/failure.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { createLog, logFormFor } from "../control/log.ts";
import type { SleepLevel } from "../core/sleep-level.ts";
import type { InstanceLock } from "../platform/instance-lock.ts";
import { systemPlatform, type Platform } from "../platform/platform.ts";
import { validateModel, type LevelResult, type ValidationReport } from "../validation/validate-model.ts";
import { dieCleanly, toldToEnd } from "./ending.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { CommandError, print, type Shell } from "./shell.ts";
import { renderTable } from "./table.ts";
import { configFile } from "./where.ts";

/** The command line of `validate`. */
export interface ValidateOptions {
  readonly config?: string;
  readonly levels: readonly SleepLevel[];
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** Exit code 0 only if every level passes. */
export async function validate(name: string, options: ValidateOptions, shell: Shell): Promise<ExitCode> {
  const config = loadConfig(configFile(options.config, shell), shell.env);
  const model = nameOf(name, config);
  const platform = systemPlatform();
  const log = createLog({
    level: options.verbose === true ? "debug" : "error",
    form: logFormFor(shell.stderr, shell.env),
  });
  const interrupt = new AbortController();
  const kill = new AbortController();
  dieCleanly(() => kill.abort(), log);
  const told = toldToEnd();
  void told.first.then(() => interrupt.abort());
  void told.second.then(() => kill.abort());
  const lock = lockOf(config, platform);
  const http = platform.createHttpClient();
  try {
    const engines = orchestratorOptions(config, platform, log, http);
    const end = { interrupt: interrupt.signal, kill: kill.signal };
    const report = await validateModel(model, options.levels, engines, end, (step) => {
      if (shell.stderr.isTTY === true) shell.stderr.write(`${model}: ${step} …\n`);
    });
    await print(shell, options.json === true ? `${JSON.stringify(asJson(report), null, 2)}\n` : asTable(report, shell));
    if (interrupt.signal.aborted) return EXIT.interrupted;
    return report.pass ? EXIT.fine : EXIT.failure;
  } finally {
    await http.close();
    lock.release();
  }
}

function lockOf({ stateDir }: Config, platform: Platform): InstanceLock {
  try {
    return platform.lockStateDir(stateDir);
  } catch (error) {
    throw new CommandError(describeError(error), EXIT.failure);
  }
}

function nameOf(name: string, { models }: Config): string {
  const model = models.find((each) => each.name === name || each.aliases.includes(name));
  if (model !== undefined) return model.name;
  const names = models.map((each) => each.name).join(", ");
  throw new CommandError(`no model ${name} in this configuration; there are ${names}`, EXIT.usage);
}

function asJson(report: ValidationReport): unknown {
  return {
    model: report.model,
    start_s: inSeconds(report.startMs),
    levels: report.levels.map((result) => ({
      level: result.level,
      sleep_s: inSeconds(result.sleepMs),
      wake_s: inSeconds(result.wakeMs),
      gpu_before_bytes: result.beforeBytes,
      gpu_asleep_bytes: result.asleepBytes,
      gpu_awake_bytes: result.awakeBytes,
      same_answer: result.sameAnswer,
      pass: result.pass,
      reason: result.reason,
    })),
    pass: report.pass,
    reason: report.reason,
  };
}

const COLUMNS = ["LEVEL", "SLEEP S", "WAKE S", "GPU BEFORE", "ASLEEP", "AWAKE", "SAME ANSWER", "PASS"];

function asTable(report: ValidationReport, { stdout }: Shell): string {
  const lines = [report.startMs === null ? report.model : `${report.model}, started in ${inSeconds(report.startMs)} s`];
  const table = report.levels.length === 0 ? "" : renderTable(COLUMNS, report.levels.map(row), stdout.columns ?? null);
  const reasons = report.levels.flatMap(({ level, reason }) => (reason === null ? [] : [`level ${level}: ${reason}`]));
  if (report.reason !== null) reasons.push(report.reason);
  return `${lines.join("\n")}\n${table}${reasons.map((reason) => `${reason}\n`).join("")}`;
}

function row(result: LevelResult): string[] {
  return [
    String(result.level),
    shown(inSeconds(result.sleepMs)),
    shown(inSeconds(result.wakeMs)),
    gibibytes(result.beforeBytes),
    gibibytes(result.asleepBytes),
    gibibytes(result.awakeBytes),
    result.sameAnswer === null ? "n/a" : yesNo(result.sameAnswer),
    yesNo(result.pass),
  ];
}

function inSeconds(ms: number | null): number | null {
  return ms === null ? null : Number((ms / 1000).toFixed(3));
}

function shown(seconds: number | null): string {
  return seconds === null ? "n/a" : seconds.toFixed(3);
}

function gibibytes(bytes: number | null): string {
  return bytes === null ? "n/a" : `${(bytes / 1024 ** 3).toFixed(2)} GiB`;
}

function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}
