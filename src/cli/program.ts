/** The command line: every command with its options and its help. What a command does is in a file of its own. */
import { Command, Option } from "commander";
import type { ExplainOptions } from "./explain.ts";
import type { ExitCode } from "./exit-codes.ts";
import { EXIT_CODES_HELP } from "./exit-codes.ts";
import { lineCount, port, seconds, shareOf, sleepLevels, wholeNumber } from "./option-values.ts";
import type { Shell } from "./shell.ts";
import { VERSION } from "../version.ts";
import type { SimulateOptions } from "./simulate.ts";
import type { ValidateOptions } from "./validate.ts";
import { configFile, DEFAULT_CONFIG_FILES, DEFAULT_STATE_DIR, type WhichOptions } from "./where.ts";

const [CONFIG_HERE, CONFIG_HOME] = DEFAULT_CONFIG_FILES;

const LOG_LINES_DEFAULT = 200;

const SWITCHES_DEFAULT = 5;

const SLO_DEFAULT_S = 30;

/** Makes the parser; `onDone` is told the exit code of the command that ran. */
export function buildProgram(shell: Shell, onDone: (code: number) => void): Command {
  const program = new Command("llmux")
    .description("Several language models take turns on your GPUs, behind one OpenAI-compatible address.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help, or that of a command")
    .helpCommand("help [command]", "print the help of a command")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void shell.stdout.write(text),
      writeErr: (text) => void shell.stderr.write(text),
      getOutHelpWidth: () => shell.stdout.columns ?? 100,
      getErrHelpWidth: () => shell.stderr.columns ?? 100,
      outputError: (text, write) => write(text.replace(/^error: /, "llmux: ")),
    })
    .showHelpAfterError("Run llmux --help, or llmux COMMAND --help, for what there is.")
    .addHelpText(
      "after",
      `
Without --config, the configuration is ${CONFIG_HERE}, or else ${CONFIG_HOME}.

Examples:
  llmux check llmux.yaml
  llmux serve --config llmux.yaml
  llmux ps --watch

${EXIT_CODES_HELP}`,
    );
  addServe(program, shell, onDone);
  addCheck(program, shell, onDone);
  addPs(program, shell, onDone);
  addExplain(program, shell, onDone);
  addLogs(program, shell, onDone);
  addOperate(program, shell, onDone);
  addValidate(program, shell, onDone);
  addSimulate(program, shell, onDone);
  addKey(program, shell, onDone);
  addSchema(program, shell, onDone);
  return program;
}

type OnDone = (code: ExitCode) => void;

interface ServeFlags {
  readonly config?: string;
  readonly host?: string;
  readonly port?: number;
  readonly verbose?: boolean;
}

function addServe(program: Command, shell: Shell, onDone: (code: number) => void): void {
  program
    .command("serve")
    .description("Serve the models of a configuration until told to end.")
    .option("-c, --config <FILE>", "configuration (YAML, or JSON)")
    .option("--host <HOST>", "address to listen on, instead of the configuration's")
    .option("-p, --port <PORT>", "port to listen on, instead of the configuration's", port)
    .option("-v, --verbose", "log everything, each request and each line of the engines included")
    .addHelpText(
      "after",
      `
Ctrl-C (SIGINT) or SIGTERM ends it in order: running requests are finished, then the engines stopped. A second one ends it at once.

Examples:
  llmux serve --config llmux.yaml
  llmux serve --port 8080 --verbose`,
    )
    .action(async (flags: ServeFlags) => {
      const config = configFile(flags.config, shell);
      const { serve } = await import("./serve.ts");
      onDone(await serve({ ...flags, config }));
    });
}

function addCheck(program: Command, shell: Shell, onDone: OnDone): void {
  program
    .command("check")
    .description("Say all that is wrong with a configuration, or what it comes to.")
    .argument("[FILE]", "configuration (YAML, or JSON)")
    .addHelpText(
      "after",
      `
Each problem is a line FILE:LINE:COLUMN: MESSAGE on stderr; then the exit code is 2. Warnings alone leave it 0.

Examples:
  llmux check llmux.yaml
  llmux check config.json`,
    )
    .action(async (file: string | undefined) => {
      const { check } = await import("./check.ts");
      onDone(await check(file, shell));
    });
}

function addPs(program: Command, shell: Shell, onDone: OnDone): void {
  const command = program
    .command("ps")
    .description("Show what a running llmux does: its models, their states, queues and processes.")
    .option("--json", "as JSON; durations in seconds")
    .option("-w, --watch", "again every second, until Ctrl-C");
  addWhich(command)
    .addHelpText(
      "after",
      `
QUEUE is how many requests wait for the model, and since when the oldest does; SINCE is how long it has been in its state. WAIT
MAX is by when a request that comes now is let in, or refused by the request timeout, while nothing fails; "no bound" where the
policy promises none. NEED is what the model takes of each of its GPUs, "?" until that is measured.

Examples:
  llmux ps
  llmux ps --watch
  llmux ps --json | jq '.models[] | select(.state == "awake") | .id'`,
    )
    .action(async (options: WhichOptions & { readonly json?: boolean; readonly watch?: boolean }) => {
      const { ps } = await import("./ps.ts");
      onDone(await ps(options, shell));
    });
}

function addExplain(program: Command, shell: Shell, onDone: OnDone): void {
  const command = program
    .command("explain")
    .description("Say why these models are awake and not others: what keeps those who wait, and why it last switched.")
    .argument("[MODEL]", "name or alias of a model: only what concerns it")
    .option("--json", "as JSON; durations in seconds")
    .option("-n, --last <COUNT>", "how many of the last switches", wholeNumber, SWITCHES_DEFAULT);
  addWhich(command)
    .addHelpText(
      "after",
      `
Of each model that waits it says what the policy weighs (how much waits, what the switch costs, how long its visit lasts), and what
keeps it. Of each switch it says why, and how the others looked that could have come instead. The last 200 switches are kept.

Examples:
  llmux explain
  llmux explain qwen-14b -n 20
  llmux explain --json | jq '.switches[-1].because'`,
    )
    .action(async (model: string | undefined, options: ExplainOptions) => {
      const { explain } = await import("./explain.ts");
      onDone(await explain(model ?? null, options, shell));
    });
}

function addLogs(program: Command, shell: Shell, onDone: OnDone): void {
  const command = program
    .command("logs")
    .description("Show the output of a model's engine since its last start, whether or not llmux runs.")
    .argument("<MODEL>", "name or, where the configuration is known, alias")
    .option("-f, --follow", "go on as it grows, into the next start too, until Ctrl-C")
    .option("-n, --lines <COUNT>", "how many of the last lines", lineCount, LOG_LINES_DEFAULT);
  addWhich(command)
    .addHelpText(
      "after",
      `
Examples:
  llmux logs qwen-14b -f
  llmux logs qwen-14b -n 1000 | grep -i memory`,
    )
    .action(async (model: string, options: WhichOptions & { readonly follow?: boolean; readonly lines: number }) => {
      const { logs } = await import("./logs.ts");
      onDone(await logs(model, options, shell));
    });
}

function addOperate(program: Command, shell: Shell, onDone: OnDone): void {
  const descriptions = {
    sleep: "Put a model to sleep, to the level that its configuration names.",
    stop: "Stop a model's engine, whatever its sleep level.",
  } as const;
  for (const name of ["sleep", "stop"] as const) {
    const command = program
      .command(name)
      .description(descriptions[name])
      .argument("<MODEL>", "name or alias of the model");
    addWhich(command)
      .addHelpText(
        "after",
        `
Running requests are finished first; a start or a wake that is under way is broken off. The next request for the model brings
it back. The command does not wait for the end of it: llmux ps shows how it goes.

Examples:
  llmux ${name} qwen-14b
  llmux ${name} qwen-14b --state-dir /var/lib/llmux`,
      )
      .action(async (model: string, options: WhichOptions) => {
        const { operate } = await import("./operate.ts");
        onDone(await operate(model, name, options, shell));
      });
  }
}

const KEY_EXAMPLE = `
Example:
  llmux key new --name nightly-batch`;

function addKey(program: Command, shell: Shell, onDone: OnDone): void {
  const command = program
    .command("key")
    .description("Make API keys for clients and operators.")
    .addHelpText("after", KEY_EXAMPLE);
  command
    .command("new")
    .description("Make a key, and print it with the lines that the configuration needs.")
    .option("-n, --name <NAME>", "what the log calls whoever uses it", "client")
    .addHelpText(
      "after",
      `
The key is printed once and kept nowhere; the configuration holds its hash.
${KEY_EXAMPLE}`,
    )
    .action(async (options: { readonly name: string }) => {
      const { newKey } = await import("./key.ts");
      onDone(await newKey(options.name, shell));
    });
}

function addSchema(program: Command, shell: Shell, onDone: OnDone): void {
  program
    .command("schema")
    .description("Print the JSON Schema of the configuration, for editors.")
    .addHelpText(
      "after",
      `
Example:
  llmux schema > llmux.schema.json
and as the first line of llmux.yaml:
  # yaml-language-server: $schema=./llmux.schema.json`,
    )
    .action(async () => {
      const { schema } = await import("./schema.ts");
      onDone(await schema(shell));
    });
}

function addValidate(program: Command, shell: Shell, onDone: OnDone): void {
  program
    .command("validate")
    .description(
      "Prove that a model survives its sleeps: same answer, memory freed and taken back, and how long it takes.",
    )
    .argument("<MODEL>", "name or alias of the model")
    .option("-c, --config <FILE>", "configuration (YAML, or JSON)")
    .option("-l, --levels <LEVELS>", "sleep levels to try, in this order", sleepLevels, [1, 2])
    .option("--json", "print JSON: times in s, memory in bytes, null where it cannot be measured")
    .option("-v, --verbose", "show the engine's output and what is done, on stderr")
    .addHelpText(
      "after",
      `
Starts the model's engine alone, without a gateway: no llmux may run with the same state_dir. GPU memory is what nvidia-smi says,
n/a where there is none. The exit code is 0 only if every level passes.

Examples:
  llmux validate qwen-14b --config llmux.yaml
  llmux validate qwen-14b --levels 1,2,3 --json`,
    )
    .action(async (model: string, options: ValidateOptions) => {
      const { validate } = await import("./validate.ts");
      onDone(await validate(model, options, shell));
    });
}

function addSimulate(program: Command, shell: Shell, onDone: OnDone): void {
  program
    .command("simulate")
    .description(
      "Play a trace of requests against the scheduler, without engines and in virtual time: which policy, how many GPUs?",
    )
    .requiredOption("-t, --trace <FILE>", "CSV, gzipped or not: timestamp_s,model,prompt_tokens,output_tokens")
    .option("-c, --config <FILE>", "configuration (YAML, or JSON)")
    .option("--policy <NAME>", "policy to try, instead of the configuration's")
    .option("--from <S>", "begin at this second of the trace", seconds, 0)
    .option("--to <S>", "end before this second of the trace", seconds, Infinity)
    .option("--keep <SHARE>", "keep a random share of each model's requests: 0.3 or 30%", shareOf, 1)
    .option("--seed <N>", "which random share", wholeNumber, 1)
    .option("--slo <SECONDS>", "within what time the first token is to come", seconds, SLO_DEFAULT_S)
    .option("--cold", "begin with no engine started, instead of all asleep")
    .option("--json", "as JSON; times in seconds, shares from 0 to 1")
    .option("--svg <FILE>", "also draw it: who was awake when, who waited, and how long")
    .addHelpText(
      "after",
      `
The models of the trace are those of the configuration, by name or alias; each needs simulate: {itl_ms, prefill_tokens_per_s, …}
there, which says how fast its engine is. Goodput is the share of all requests whose first token came within the SLO.

Examples:
  llmux simulate --trace requests.csv.gz --config llmux.yaml
  llmux simulate --trace requests.csv.gz --from 3600 --to 7200 --keep 30% --svg run.svg`,
    )
    .action(async (options: SimulateOptions) => {
      const { simulate } = await import("./simulate.ts");
      onDone(await simulate(options, shell));
    });
}

/** How the commands that are about a running llmux are told which one. */
function addWhich(command: Command): Command {
  return command
    .addOption(new Option("-c, --config <FILE>", "the configuration it serves").conflicts("stateDir"))
    .addOption(
      new Option("--state-dir <DIR>", `its state folder, if it is not the configuration's or ${DEFAULT_STATE_DIR}`),
    );
}
