/** The command `mock-vllm`: looks at the first word and hands over. Each command is loaded only when it is wanted. */
import { UsageError } from "./usage-error.ts";

const [command, ...rest] = process.argv.slice(2);
try {
  await run(command, rest);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`mock-vllm: ${error.message}\n`);
  process.exitCode = 2;
}

async function run(name: string | undefined, words: readonly string[]): Promise<void> {
  switch (name ?? "") {
    case "engine-core":
      return (await import("./engine-core.ts")).runEngineCore(words[0] ?? "");
    case "serve":
      if (words.includes("--help") || words.includes("-h")) return help();
      return (await import("./serve.ts")).serve(words);
    case "nvidia-smi":
      return (await import("./nvidia-smi.ts")).nvidiaSmi(words);
    case "ledger":
      return (await import("./ledger-command.ts")).ledgerCommand(words);
    case "--help":
    case "-h":
    case "help":
      return help();
    case "--version":
    case "-v":
      process.stdout.write(`${(await import("./engine-version.ts")).defaultVersion} (mock)\n`);
      return undefined;
    default:
      throw new UsageError(
        `expected serve, nvidia-smi, ledger, --help or --version, found ${name === undefined ? "nothing" : `"${name}"`}`,
      );
  }
}

async function help(): Promise<void> {
  process.stdout.write((await import("./command-help.ts")).helpText());
}
