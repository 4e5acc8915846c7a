/** `llmux serve`: runs the gateway until it is told to end. */
import { createApp, type App } from "../app.ts";
import { describeError } from "../base/failure.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { formatProblem } from "../config/problem.ts";
import { createLog, logFormFor, type ClosableLog } from "../control/log.ts";
import { lookAtMachine } from "../machine.ts";
import { systemPlatform } from "../platform/platform.ts";
import { dieCleanly, exitCodeOf, toldToEnd, type EndingSignal } from "./ending.ts";
import { EXIT } from "./exit-codes.ts";
import { missingProgram } from "./missing-program.ts";
import { VERSION } from "../version.ts";

/** The command line of `serve`. */
export interface ServeOptions {
  readonly config: string;
  readonly host?: string;
  readonly port?: number;
  readonly verbose?: boolean;
}

/** Resolves with the exit code: 0 after an orderly end. Rejects with a `ConfigError`, or an error that is one sentence. */
export async function serve(options: ServeOptions): Promise<number> {
  const { host, port } = options;
  const overrides = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
  const config = loadConfig(options.config, process.env, overrides);
  const form = logFormFor(process.stderr, process.env);
  const log = createLog({ level: options.verbose === true ? "debug" : config.logLevel, form });
  for (const warning of config.warnings) log.warn("configuration", { problem: formatProblem(warning) });
  const missing = missingProgram(config, process.env["PATH"]);
  if (missing !== null) log.warn("configuration", { problem: missing });
  const platform = systemPlatform();
  let app: App;
  try {
    const machine = await lookAtMachine(config, platform, log);
    app = createApp(config, { platform, log, version: VERSION, machine });
  } catch (error) {
    log.error("not started", { reason: describeError(error) });
    log.flush();
    return EXIT.failure;
  }
  dieCleanly(() => app.kill(), log);
  const told = toldToEnd();
  // At any time: also while a start is still ending what an earlier run has left.
  void told.second.then((signal) => killNow(app, log, signal));
  try {
    const { gateway, metricsPort } = await app.start();
    const address = urlOf(config, gateway.address, gateway.port);
    log.info("listening", {
      address,
      ...(metricsPort === null ? {} : { metrics: `${urlOf(config, config.metricsHost, metricsPort)}/metrics` }),
      models: config.models.length,
      pid: process.pid,
    });
    if (process.stdout.isTTY || process.env["npm_lifecycle_event"] === "start") {
      process.stdout.write(whatToTry(config, options.config, address, metricsPort));
    }
  } catch (error) {
    app.kill();
    log.error("not started", { reason: describeError(error) });
    log.flush();
    return EXIT.failure;
  }
  const signal = await told.first;
  log.info("ending", { signal, hint: "once more ends at once" });
  await app.drain();
  const left = app.status().models.flatMap(({ id, pid }) => (pid === null ? [] : [`${id} (pid ${pid})`]));
  if (left.length > 0) log.error("engines left", { engines: left, hint: "the next start tries again to end them" });
  log.flush();
  return left.length === 0 ? EXIT.fine : EXIT.failure;
}

function killNow(app: App, log: ClosableLog, signal: EndingSignal): never {
  app.kill();
  log.warn("ended at once", { signal });
  log.flush();
  process.exit(exitCodeOf(signal));
}

function urlOf({ tls }: Config, host: string, port: number): string {
  return `${tls === null ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function whatToTry(config: Config, file: string, address: string, metricsPort: number | null): string {
  const key = config.apiKeys.length === 0 ? "" : " -H 'authorization: Bearer YOUR-KEY'";
  const calls = config.models.map(({ name }) => {
    const body = JSON.stringify({ model: name, messages: [{ role: "user", content: "Hello!" }] });
    return `  curl ${address}/v1/chat/completions -H 'content-type: application/json'${key} \\\n    -d ${quoted(body)}\n`;
  });
  const metrics =
    metricsPort === null
      ? ""
      : `  curl ${urlOf(config, config.metricsHost, metricsPort)}/metrics${config.adminKeyHash === null ? "" : " -H 'authorization: Bearer ADMIN-KEY'"}\n`;
  return `
llmux listens on ${address}. Ask one model, then another; the first answer of each waits for its engine's start:

${calls.join("\n")}
See what happens (in another terminal):

  cd ${process.cwd()} && npx llmux ps --config ${file}
  curl ${address}/v1/models${key}
${metrics}
Ctrl-C ends llmux and its engines.

`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
