/** The program: arguments in, one command, exit code out. */
import { run } from "./cli/run.ts";
import { processShell } from "./cli/shell.ts";

// A reader of our output that goes away must not end the process: a gateway goes on without it, and the other commands notice
// when they write.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await run(process.argv.slice(2), processShell());
