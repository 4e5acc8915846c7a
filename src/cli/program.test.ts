/** Runs the real program as a child process: exit codes, what goes to stdout and what to stderr. */
import { deepEqual, equal, match } from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { hashOfKey } from "../base/api-key.ts";
import { failure, type Failure } from "../base/failure.ts";
import { controlSocketPath, engineLogFile } from "../base/state-files.ts";
import { parseConfig } from "../config/load.ts";
import { ControlServer } from "../control/control-server.ts";
import type { ExplanationQuery } from "../control/explanation.ts";
import { exampleExplanation } from "../control/testing/example-explanation.ts";
import { exampleStatus } from "../control/testing/example-status.ts";
import { FIGURES_OF_THREE, THREE_REQUESTS } from "../simulation/testing/three-requests.ts";
import { VERSION } from "../version.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/llmux.js", import.meta.url));

const status = exampleStatus();
const explanation = exampleExplanation();
const queries: ExplanationQuery[] = [];

let folder = "";
let stateDir = "";
let config = "";
let server: ControlServer;
let refusal: Failure | null = null;
const commands: string[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "llmux-cli-"));
  stateDir = join(folder, "state");
  config = join(folder, "my.yaml");
  writeFileSync(
    config,
    `state_dir: ${stateDir}\nvllm_command: mock-vllm\nmodels:\n  qwen: {model_path: x, aliases: [gpt]}\n`,
  );
  server = new ControlServer({
    socketPath: controlSocketPath(stateDir),
    status: () => status,
    explain: (query) => {
      queries.push(query);
      return explanation;
    },
    findModel: (name) => (name === "qwen" || name === "gpt" ? "qwen" : null),
    operate(model, command) {
      commands.push(`${command} ${model}`);
      return refusal;
    },
  });
  await server.listen();
});

after(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
}

function start(...args: readonly string[]): Started {
  const env = { ...process.env, HOME: folder, NO_COLOR: "1" };
  const child = spawn(process.execPath, [LAUNCHER, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    output.stdout += piece;
  });
  child.stderr.setEncoding("utf8").on("data", (piece: string) => {
    output.stderr += piece;
  });
  const ended = once(child, "close").then(([code]) => code as number | null);
  return { child, output, ended };
}

async function llmux(...args: readonly string[]) {
  const { output, ended } = start(...args);
  const code = await ended;
  return { code, ...output };
}

/** Copies the launcher to where it finds nothing to start. */
function copyTo(name: string): string {
  const copy = join(folder, name, "bin", "llmux.mjs");
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(LAUNCHER, copy);
  return copy;
}

async function launched(...args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  return { code: code as number | null, stderr };
}

async function until(condition: () => boolean): Promise<void> {
  for (const endAtMs = performance.now() + 30_000; !condition() && performance.now() < endAtMs;) await sleep(10);
  equal(condition(), true);
}

describe("the command line", () => {
  it("prints its version, and help for itself and for each command, with examples", async () => {
    deepEqual(await llmux("--version"), { code: 0, stdout: `${VERSION}\n`, stderr: "" });
    const help = await llmux("--help");
    equal(help.code, 0);
    equal(help.stderr, "");
    match(help.stdout, /Exit codes:/);
    for (const name of ["serve", "check", "ps", "explain", "logs", "sleep", "stop", "simulate", "key", "schema"]) {
      match(help.stdout, new RegExp(`^ {2}${name} `, "m"));
      const { code, stdout, stderr } = await llmux(name, "--help");
      deepEqual([code, stderr], [0, ""]);
      match(stdout, new RegExp(`^Usage: llmux ${name} `));
      match(stdout, new RegExp(`^Examples?:\\n {2}llmux ${name}`, "m"));
    }
  });

  it("ends with 2 and a sentence on stderr when it is used wrongly", async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [[], /^Usage: llmux/],
      [["sevre"], /^llmux: unknown command 'sevre'\n\(Did you mean serve\?\)/],
      [["ps", "--jsno"], /^llmux: unknown option '--jsno'\n\(Did you mean --json\?\)/],
      [["logs"], /^llmux: missing required argument 'MODEL'/],
      [["ps", "extra"], /^llmux: too many arguments for 'ps'/],
      [
        ["serve", "--port", "70000"],
        /^llmux: option '-p, --port <PORT>' argument '70000' is invalid\. Expected a port/,
      ],
      [["serve", "--port", "80x"], /Expected a port between 1 and 65535/],
      [["logs", "qwen", "-n", "-1"], /Expected a number of lines: 0 or more/],
      [["ps", "--config", "a", "--state-dir", "b"], /cannot be used with option/],
      [["serve"], /^llmux: no configuration: name a file, or write \.\/llmux\.yaml/],
    ];
    for (const [args, expected] of cases) {
      const { code, stdout, stderr } = await llmux(...args);
      deepEqual([code, stdout], [2, ""], args.join(" "));
      match(stderr, expected);
      equal(/^\s+at /m.test(stderr), false, stderr);
    }
  });

  it("does not fail when nobody reads its output to the end", async () => {
    const { child, output, ended } = start("ps", "--watch", "--json", "--config", config);
    await once(child.stdout, "data");
    child.stdout.destroy();
    equal(await ended, 0);
    equal(output.stderr, "");
  });
});

describe("llmux check", () => {
  it("sums up a configuration that is fine", async () => {
    const { code, stdout, stderr } = await llmux("check", config);
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /my\.yaml: fine, 1 model\nlistens on http:\/\/127\.0\.0\.1:3000, metrics on port 9090\n/);
    match(stdout, /^switches by bounded-wait, but never has to: no model must leave for another\nGPUs and /m);
    match(stdout, /^qwen +x +auto +\? +1 +free +gpt$/m);
  });

  it("prints every problem with its place and ends with 2", async () => {
    const broken = join(folder, "broken.yaml");
    writeFileSync(broken, "prot: 1\nmodels:\n  a: {model_path: x, sleep_level: 9}\n");
    const { code, stdout, stderr } = await llmux("check", broken);
    deepEqual([code, stdout], [2, ""]);
    match(stderr, /^.*broken\.yaml:1:1: .*port.*\n.*broken\.yaml:3:\d+: .*sleep_level.*\n2 problems\n$/);
  });

  it("prints warnings and ends with 0 all the same", async () => {
    const open = join(folder, "open.yaml");
    writeFileSync(open, "host: 0.0.0.0\nmetrics_port: 0\nvllm_command: nowhere/vllm\nmodels:\n  a: {model_path: x}\n");
    const { code, stdout, stderr } = await llmux("check", open);
    equal(code, 0);
    const [host, program, ...rest] = stderr.split("\n");
    match(host ?? "", /open\.yaml:1:7: host: .* \(warning\)$/);
    match(
      program ?? "",
      /open\.yaml: vllm_command: expected a program .*, found "nowhere\/vllm": no such program \(warning\)$/,
    );
    deepEqual(rest, [""]);
    match(stdout, /fine, 1 model, 1 warning/);
  });

  it("takes the default configuration when none is named", async () => {
    const file = join(folder, ".config/llmux/llmux.yaml");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "models: {a: {model_path: x}}\n");
    const { code, stdout } = await llmux("check");
    rmSync(file);
    equal(code, 0);
    equal(stdout.startsWith(`${file}: fine`), true);
  });
});

describe("llmux ps", () => {
  it("shows the models of the llmux that runs", async () => {
    const { code, stdout, stderr } = await llmux("ps", "--config", config);
    deepEqual([code, stderr], [0, ""]);
    match(
      stdout,
      /^llmux 9\.9\.9, pid 42, up 1m00s: idle\nGPU 0: .*\nMODEL .*\nqwen +asleep \(level 1\) +5s +0 +0 +34s +0 +6 GiB +77 +8001\n$/,
    );
  });

  it("shows the same as JSON", async () => {
    const { code, stdout } = await llmux("ps", "--json", "--state-dir", stateDir);
    equal(code, 0);
    deepEqual(JSON.parse(stdout), status);
  });

  it("ends with 3 when no llmux runs, and says where it looked", async () => {
    const { code, stdout, stderr } = await llmux("ps", "--state-dir", join(folder, "nowhere"));
    deepEqual([code, stdout], [3, ""]);
    match(
      stderr,
      /^llmux: no llmux is running: there is no socket at .*nowhere\/llmux\.sock; start it with llmux serve.*\n$/,
    );
  });

  it("ends with 2 when the configuration cannot be used", async () => {
    const { code, stderr } = await llmux("ps", "--config", "missing.yaml");
    equal(code, 2);
    match(stderr, /^missing\.yaml:1:1: expected a configuration file, found no such file\n$/);
  });

  it("watches until Ctrl-C, which ends it with 130", async () => {
    const { child, output, ended } = start("ps", "--watch", "--json", "--config", config);
    await until(() => output.stdout.split("\n").length > 2);
    child.kill("SIGINT");
    equal(await ended, 130);
    const [first = ""] = output.stdout.split("\n");
    deepEqual(JSON.parse(first), status);
  });
});

describe("llmux explain", () => {
  it("tells everything, or what concerns one model, with as many switches as asked for", async () => {
    queries.length = 0;
    const { code, stdout, stderr } = await llmux("explain", "--config", config);
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /^Awake:\n {2}gemma for 12s, 0 in flight\n.*\n\nNobody waits for another model\.\n\nSwitches, /);
    equal((await llmux("explain", "gpt", "-n", "20", "--state-dir", stateDir)).code, 0);
    deepEqual(queries, [
      { model: null, last: 5 },
      { model: "qwen", last: 20 },
    ]);
  });

  it("tells the same as JSON", async () => {
    const { code, stdout } = await llmux("explain", "--json", "--config", config);
    equal(code, 0);
    deepEqual(JSON.parse(stdout), explanation);
  });

  it("ends with 1 when there is no such model, and with 3 when no llmux runs", async () => {
    const unknown = await llmux("explain", "llama", "--config", config);
    deepEqual([unknown.code, unknown.stderr], [1, "llmux: no model llama; there are qwen\n"]);
    equal((await llmux("explain", "--state-dir", join(folder, "nowhere"))).code, 3);
  });
});

describe("llmux sleep and llmux stop", () => {
  it("tell the llmux that runs, and say what it does", async () => {
    commands.length = 0;
    deepEqual(await llmux("sleep", "gpt", "--config", config), {
      code: 0,
      stdout: "qwen: asleep (level 1)\n",
      stderr: "",
    });
    equal((await llmux("stop", "qwen", "--state-dir", stateDir)).code, 0);
    deepEqual(commands, ["sleep qwen", "stop qwen"]);
  });

  it("end with 1 and the reason when it does not", async () => {
    refusal = failure("invalid_request", "model qwen is draining: try again when that has ended");
    const { code, stdout, stderr } = await llmux("stop", "qwen", "--config", config);
    refusal = null;
    deepEqual([code, stdout, stderr], [1, "", "llmux: model qwen is draining: try again when that has ended\n"]);
    const unknown = await llmux("stop", "llama", "--config", config);
    deepEqual([unknown.code, unknown.stderr], [1, "llmux: no model llama; there are qwen\n"]);
  });
});

describe("llmux logs", () => {
  it("shows the last lines of the engine's output, by name or alias, without colours", async () => {
    const file = engineLogFile(stateDir, "qwen");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "one\n\u001b[31mtwo\u001b[0m\nthree\n");
    deepEqual(await llmux("logs", "gpt", "-n", "2", "--config", config), {
      code: 0,
      stdout: "two\nthree\n",
      stderr: "",
    });
    equal((await llmux("logs", "qwen", "--state-dir", stateDir)).stdout, "one\ntwo\nthree\n");
  });

  it("follows it until Ctrl-C", async () => {
    const file = engineLogFile(stateDir, "qwen");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "one\n");
    const { child, output, ended } = start("logs", "qwen", "-f", "--config", config);
    await until(() => output.stdout === "one\n");
    appendFileSync(file, "two\n");
    await until(() => output.stdout === "one\ntwo\n");
    child.kill("SIGINT");
    equal(await ended, 130);
    equal(output.stderr, "");
  });

  it("says so when there is no such model or no output", async () => {
    const typo = await llmux("logs", "qwne", "--config", config);
    deepEqual([typo.code, typo.stderr], [1, "llmux: no model qwne: did you mean qwen?\n"]);
    const none = await llmux("logs", "other", "--state-dir", stateDir);
    equal(none.code, 1);
    match(
      none.stderr,
      /^llmux: other has no output yet: there is no .*other\.log; its engine has not been started here\n$/,
    );
  });
});

describe("llmux simulate", () => {
  let trace = "";
  let speeds = "";

  before(() => {
    trace = join(folder, "trace.csv");
    speeds = join(folder, "speeds.yaml");
    const speed = "simulate: {itl_ms: 10, prefill_tokens_per_s: 1000, sleep_s: 1, wake_s: 2, cold_s: 30}";
    const models = `policy: {policy_type: fifo}\nmodels:\n  a: {model_path: x, aliases: [first], ${speed}}\n  b: {model_path: x, ${speed}}\n  c: {model_path: x}\n`;
    writeFileSync(speeds, models);
    const rows = THREE_REQUESTS.map(({ atMs, model, promptTokens, outputTokens }, index) =>
      [100 + atMs / 1000, index === 0 ? "first" : model, promptTokens, outputTokens].join(","),
    );
    writeFileSync(trace, ["timestamp_s,model,prompt_tokens,output_tokens", ...rows, ""].join("\n"));
  });

  const simulate = (...args: readonly string[]) => llmux("simulate", "-t", trace, "-c", speeds, ...args);

  it("prints exact figures as JSON", async () => {
    const { code, stdout, stderr } = await simulate("--json");
    deepEqual([code, stderr], [0, ""]);
    const { models, ...report } = JSON.parse(stdout) as { models: Record<string, { requests: number }> };
    deepEqual(report, {
      policy: "fifo",
      slo_s: 30,
      goodput: 1,
      ...FIGURES_OF_THREE,
    });
    deepEqual([models["a"]?.requests, models["b"]?.requests, Object.keys(models).length], [2, 1, 2]);
  });

  it("prints a table for people, and draws where it is told to", async () => {
    const svg = join(folder, "run.svg");
    const { code, stdout, stderr } = await simulate("--slo", "5", "--svg", svg);
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /^fifo: 3 requests in 10\.2 s\ngoodput {6}66\.7 % had their first token within 5\.00 s\n/);
    match(stdout, /^a +2 +100\.0 % +0\.10 s/m);
    match(readFileSync(svg, "utf8"), /^<svg .*<\/svg>\n$/s);
  });

  it("takes a window, begins cold, and names the policy", async () => {
    const { stdout } = await simulate("--from", "103.5", "--to", "105", "--cold", "--policy", "fifo", "--json");
    const report = JSON.parse(stdout) as { requests: number; ttft_s: { max: number } };
    deepEqual([report.requests, report.ttft_s.max], [1, 30.1]);
  });

  it("ends with 2 and a sentence where something cannot be used", async () => {
    const other = join(folder, "other.csv");
    const header = "timestamp_s,model,prompt_tokens,output_tokens\n";
    const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
      ["", ["--policy", "lifo"], /^llmux: --policy: expected a policy: .*, found the text "lifo"\n$/],
      ["", ["--keep", "0"], /Expected a share such as 0\.3 or 30%/],
      ["", ["--seed", "x"], /Expected a whole number/],
      ["", ["--slo", "1s"], /Expected a number of seconds, without a unit/],
      ["", ["--from", "9", "--to", "9"], /^llmux: --from 9 is not before --to 9\n$/],
      ["", ["--from", "105"], /trace\.csv:1: none of 3 requests is left in seconds 105 to the end/],
      ["", ["-t", join(folder, "none.csv")], /^llmux: .*none\.csv:1: expected a trace, found no such file\n$/],
      [
        `${header}1,bb,1,1\n`,
        ["-t", other],
        /other\.csv:2: model: expected .* \(a, first, b, c\), found "bb"; did you mean b\?\n$/,
      ],
      [
        `${header}1,c,1,1\n`,
        ["-t", other],
        /speeds\.yaml: expected models\.c\.simulate with itl_ms and .*, found nothing\n$/,
      ],
      [header, ["-t", other], /other\.csv:1: expected at least one request, found the header alone\n$/],
      [
        `${header}1,a,-1,1\n`,
        ["-t", other],
        /other\.csv:2: prompt_tokens: expected a number of at least 0, found "-1"\n$/,
      ],
    ];
    for (const [content, args, expected] of cases) {
      writeFileSync(other, content);
      const { code, stdout, stderr } = await simulate(...args);
      deepEqual([code, stdout], [2, ""], args.join(" "));
      match(stderr, expected);
      equal(/^\s+at /m.test(stderr), false, stderr);
    }
  });
});

describe("llmux schema", () => {
  it("prints a JSON Schema that knows the keys of a configuration", async () => {
    const { code, stdout } = await llmux("schema");
    equal(code, 0);
    const { properties } = JSON.parse(stdout) as { properties: Record<string, unknown> };
    equal("models" in properties && "metrics_port" in properties, true);
  });
});

describe("llmux key", () => {
  it("makes a key each time, and prints lines of which the configuration makes just that key", async () => {
    const { code, stdout, stderr } = await llmux("key", "new", "--name", 'a "b": c');
    equal(code, 0);
    equal(stderr, "");
    const [key = "", ...rest] = stdout.split("\n");
    match(key, /^sk-llmux-[\w-]{43}$/);
    equal(rest.join("\n").includes(key), false);
    const lines = rest.join("\n").slice(rest.join("\n").indexOf("api_keys:")).replace("or for operators:", "");
    const { apiKeys, adminKeyHash } = parseConfig(`${lines}\nmodels: {a: {model_path: x}}`, "f", {});
    deepEqual(
      apiKeys.map(({ name, hash }) => [name, hash]),
      [['a "b": c', hashOfKey(key)]],
    );
    equal(adminKeyHash, hashOfKey(key));
    equal((await llmux("key", "new")).stdout.includes(key), false);
  });

  it("says what it can do", async () => {
    const { code, stderr } = await llmux("key", "old");
    equal(code, 2);
    match(stderr, /old/);
    match((await llmux("key", "--help")).stdout, /new.*Make a key/);
  });
});

describe("the launcher", () => {
  it("says which Node is needed when this one runs no TypeScript and nothing was built", async () => {
    const copy = copyTo("checkout");
    mkdirSync(join(folder, "checkout", "src"));
    writeFileSync(join(folder, "checkout", "src", "main.ts"), "");
    const { code, stderr } = await launched("--no-strip-types", copy, "--version");
    equal(code, 1);
    match(stderr, /^llmux: expected Node 22\.19 or later, .*; found Node \d+\.\d+\.\d+ and no build\n$/);
  });

  it("says so when what it should start is not there", async () => {
    const { code, stderr } = await launched(copyTo("package"), "--version");
    equal(code, 1);
    match(stderr, /^llmux: expected a built dist\/llmux\.js beside it: the package is not complete/);
  });
});
