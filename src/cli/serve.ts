/** `llmux serve`: runs the gateway until it is told to end. */
import { createApp, type App } from "../app.ts";
import { describeError } from "../base/failure.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { formatProblem } from "../config/problem.ts";
import { createLog, logFormFor, type ClosableLog } from "../control/log.ts";
import { systemPlatform } from "../platform/platform.ts";
import { EXIT } from "./exit-codes.ts";
import { VERSION } from "../version.ts";

/** The command line of `serve`. */
export interface ServeOptions {
  readonly config: string;
  readonly host?: string;
  readonly port?: number;
  readonly verbose?: boolean;
}

/** What ends it: Ctrl-C, `kill`, and the terminal's closing. */
const ENDING_SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;
type EndingSignal = keyof typeof ENDING_SIGNALS;

/** Resolves with the exit code: 0 after an orderly end. Rejects with a `ConfigError`, or an error that is one sentence. */
export async function serve(options: ServeOptions): Promise<number> {
  const { host, port } = options;
  const overrides = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
  const config = loadConfig(options.config, process.env, overrides);
  const form = logFormFor(process.stderr, process.env);
  const log = createLog({ level: options.verbose === true ? "debug" : config.logLevel, form });
  for (const warning of config.warnings) log.warn("configuration", { problem: formatProblem(warning) });
  const app = createApp(config, { platform: systemPlatform(), log, version: VERSION });
  dieCleanly(app, log);
  const told = toldToEnd();
  try {
    const { gateway, metricsPort } = await app.start();
    const address = urlOf(gateway.address, gateway.port);
    log.info("listening", {
      address,
      ...(metricsPort === null ? {} : { metrics: `${urlOf(config.host, metricsPort)}/metrics` }),
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
  const code = await Promise.race([
    app.drain().then(() => EXIT.fine),
    told.second.then((again) => killNow(app, log, again)),
  ]);
  log.flush();
  return code;
}

/** Engines live in sessions of their own, so whatever ends us must end them too. */
function dieCleanly(app: App, log: ClosableLog): void {
  const die = (error: unknown): never => {
    log.error("bug", { message: describeError(error), stack: error instanceof Error ? error.stack : "" });
    app.kill();
    log.flush();
    process.exit(EXIT.failure);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
}

function killNow(app: App, log: ClosableLog, signal: EndingSignal): never {
  app.kill();
  log.warn("ended at once", { signal });
  log.flush();
  process.exit(128 + ENDING_SIGNALS[signal]);
}

function toldToEnd(): { readonly first: Promise<EndingSignal>; readonly second: Promise<EndingSignal> } {
  const first = Promise.withResolvers<EndingSignal>();
  const second = Promise.withResolvers<EndingSignal>();
  let count = 0;
  for (const signal of Object.keys(ENDING_SIGNALS) as EndingSignal[]) {
    process.on(signal, () => {
      count += 1;
      if (count === 1) first.resolve(signal);
      else second.resolve(signal);
    });
  }
  return { first: first.promise, second: second.promise };
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function whatToTry(config: Config, file: string, address: string, metricsPort: number | null): string {
  const calls = config.models.map(({ name }) => {
    const body = JSON.stringify({ model: name, messages: [{ role: "user", content: "Hello!" }] });
    return `  curl ${address}/v1/chat/completions -H 'content-type: application/json' \\\n    -d ${quoted(body)}\n`;
  });
  const metrics = metricsPort === null ? "" : `  curl ${urlOf(config.host, metricsPort)}/metrics\n`;
  return `
llmux listens on ${address}. Ask one model, then another; the first answer of each waits for its engine's start:

${calls.join("\n")}
See what happens (in another terminal):

  npx llmux ps --config ${file}
  curl ${address}/v1/models
${metrics}
Ctrl-C ends llmux and its engines.

`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
