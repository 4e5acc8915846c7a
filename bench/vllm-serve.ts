/**
 * What llmux adds to a real vLLM: vLLM's own load generator, `vllm bench serve`, against one and the same engine, by way of llmux
 * and past it, in turns within one run. The engine is a vLLM on the CPU with a tiny model, so that there is little to hide behind.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { createKey, hashOfKey } from "../src/base/api-key.ts";
import { until } from "../test/support/until.ts";
import { BenchGround, freePorts } from "./bench-ground.ts";
import { medianOf, quantileOf } from "./distribution.ts";
import { llmuxCommand, untilAnswers } from "./gateways.ts";
import { nginxCommand, nginxProgram } from "./proxy/contenders.ts";
import type { Report } from "./report.ts";

const CACHE = fileURLToPath(new URL("../.cache/", import.meta.url));
const VLLM = process.env["LLMUX_VLLM_COMMAND"] ?? join(CACHE, "vllm-venv/bin/vllm");
const MODEL = "tiny-a";
const MODEL_PATH = join(process.env["LLMUX_VLLM_MODELS"] ?? join(CACHE, "vllm-models"), MODEL);

/** Both sides in turn, so many times; who begins changes. */
const ROUNDS = 5;

/** Small ones: vLLM on two cores is soon busy, and what it then measures is itself. */
const LOADS = [
  { name: "one at a time", concurrency: 1, requests: 60 },
  { name: "eight at once", concurrency: 8, requests: 160 },
] as const;
const INPUT_TOKENS = 64;
const OUTPUT_TOKENS = 32;

/** A start of vLLM, and one run of the load generator, on a busy machine. */
const LIMIT_MS = 300_000;

/** One is left to llmux and the load generator. */
const ENGINE_CORES = Math.max(1, availableParallelism() - 1);

const KEY = createKey();

/** What the load generator has found, as it names it. */
interface Found {
  readonly completed: number;
  readonly median_ttft_ms: number;
  readonly p99_ttft_ms: number;
  readonly median_tpot_ms: number;
  readonly request_throughput: number;
  readonly output_throughput: number;
}

const FIGURES = [
  "median_ttft_ms",
  "p99_ttft_ms",
  "median_tpot_ms",
  "request_throughput",
  "output_throughput",
] as const satisfies readonly (keyof Found)[];

/** Of the differences within the rounds. */
const QUARTILES = [
  ["in the middle", 0.5],
  ["in a quarter of the rounds less than", 0.25],
  ["in a quarter more than", 0.75],
] as const;

/** A way to the engine. */
interface Side {
  readonly name: string;
  readonly port: number;
}

/** Runs it; without vLLM it is left out. */
export async function vllmServe(): Promise<Report> {
  if (!existsSync(VLLM) || !existsSync(MODEL_PATH)) {
    return { tables: [], checks: [], notes: ["There is no vLLM: npm run test:vllm puts it into .cache."] };
  }
  await using ground = new BenchGround(null);
  const [port = 0, enginePort = 0] = await freePorts(2);
  const config = ground.write("llmux.json", JSON.stringify(configOf(ground, port, enginePort)));
  const llmux = ground.start("llmux", llmuxCommand(config));
  await untilAnswers("llmux", llmux, `http://127.0.0.1:${port}`);
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: KEY, maxRetries: 0, timeout: LIMIT_MS });
  await client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "hi" }], max_tokens: 4 });

  const direct: Side = { name: "past llmux", port: enginePort };
  const proxies: Side[] = [{ name: "llmux", port }];
  const notes = [
    `The engine has ${ENGINE_CORES} of ${availableParallelism()} cores; the proxies and the load generator share what is left.`,
  ];
  const nginx = nginxProgram();
  if (nginx === null) notes.push("nginx is left out: it is not installed.");
  else proxies.push({ name: "nginx", port: await startNginx(ground, nginx, enginePort) });
  const rows: (readonly (string | number)[])[] = [];
  for (const load of LOADS) rows.push(...(await compare(ground, load, direct, proxies)));
  await llmux.end();
  const columns = ["load", "", "TTFT median ms", "p99 ms", "per token median ms", "requests/s", "tokens/s"];
  const title = `vllm bench serve: ${INPUT_TOKENS} tokens in, ${OUTPUT_TOKENS} out, streamed; medians of ${ROUNDS} rounds`;
  return {
    tables: [{ title, columns, rows }],
    checks: [],
    notes,
  };
}

async function startNginx(ground: BenchGround, program: string, enginePort: number): Promise<number> {
  const [port = 0] = await freePorts(1);
  const nginx = ground.start("nginx", nginxCommand(ground, program, port, enginePort));
  await untilAnswers("nginx", nginx, `http://127.0.0.1:${port}`);
  return port;
}

/** One load, by all ways in turns. */
async function compare(
  ground: BenchGround,
  load: (typeof LOADS)[number],
  direct: Side,
  proxies: readonly Side[],
): Promise<(readonly (string | number)[])[]> {
  const sides = [direct, ...proxies];
  const found = new Map(sides.map((side) => [side, [] as Found[]]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      found.get(side)?.push(await generate(ground, side.port, load, round));
    }
  }
  const rows: (readonly (string | number)[])[] = [];
  for (const [{ name }, all] of found) {
    const title = name === direct.name ? name : `through ${name}`;
    rows.push([load.name, title, ...FIGURES.map((figure) => medianOf(all.map((one) => one[figure])))]);
  }
  for (const { name, pairs } of proxies.map((proxy) => ({ name: proxy.name, pairs: inPairs(found, proxy, direct) }))) {
    for (const [where, share] of QUARTILES) {
      const between = (figure: (typeof FIGURES)[number]): number =>
        quantileOf(
          pairs.map(([one, other]) => one[figure] - other[figure]),
          share,
        );
      rows.push([load.name, `${name} adds, ${where}`, ...FIGURES.map(between)]);
    }
  }
  return rows;
}

/** Round against round: what slows the machine down for a while slows all ways. */
function inPairs(
  found: ReadonlyMap<Side, readonly Found[]>,
  proxy: Side,
  direct: Side,
): (readonly [through: Found, past: Found])[] {
  return (found.get(proxy) ?? []).map((one, round) => {
    const other = found.get(direct)?.[round];
    assert.ok(other !== undefined, "each round has all sides");
    return [one, other] as const;
  });
}

function configOf(ground: BenchGround, port: number, enginePort: number): object {
  const model = {
    model_path: MODEL_PATH,
    port: enginePort,
    // vLLM refuses the flag on a CPU.
    sleep_mode_flag: false,
    extra_args: ["--enforce-eager", "--max-model-len", "1024", "--disable-uvicorn-access-log"],
    env: { VLLM_CPU_KVCACHE_SPACE: "1", HF_HUB_OFFLINE: "1", VLLM_NO_USAGE_STATS: "1", DO_NOT_TRACK: "1" },
    startup_timeout_secs: LIMIT_MS / 1_000,
  };
  return {
    host: "127.0.0.1",
    port,
    metrics_port: 0,
    // Two cores that an engine's processes poll leave none to anybody for seconds: see test/vllm/README.md.
    vllm_command: ground.executable("vllm", `exec taskset -c 0-${ENGINE_CORES - 1} '${VLLM}' "$@"`),
    nvidia_smi_command: "false",
    state_dir: join(ground.folder, "state"),
    api_keys: [{ name: "bench", hash: hashOfKey(KEY) }],
    policy: { request_timeout_secs: LIMIT_MS / 1_000 },
    models: { [MODEL]: model },
  };
}

/** One run of the load generator; the same prompts on both sides of a round. */
async function generate(
  ground: BenchGround,
  port: number,
  { concurrency, requests }: (typeof LOADS)[number],
  round: number,
): Promise<Found> {
  const name = `load-${port}-${concurrency}-${round}`;
  const flags = {
    backend: "openai-chat",
    endpoint: "/v1/chat/completions",
    "base-url": `http://127.0.0.1:${port}`,
    model: MODEL,
    tokenizer: MODEL_PATH,
    "dataset-name": "random",
    "random-input-len": INPUT_TOKENS,
    "random-output-len": OUTPUT_TOKENS,
    "num-prompts": requests,
    "num-warmups": concurrency,
    "max-concurrency": concurrency,
    seed: round,
    "result-dir": ground.folder,
    "result-filename": `${name}.json`,
  };
  const variables = ["HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1", `OPENAI_API_KEY=${KEY}`];
  const run = ground.start(name, [
    "env",
    ...variables,
    VLLM,
    "bench",
    "serve",
    "--ignore-eos",
    "--disable-tqdm",
    "--save-result",
    ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
  ]);
  await until("the load generator has ended", () => run.hasEnded(), LIMIT_MS);
  const file = join(ground.folder, `${name}.json`);
  assert.ok(existsSync(file), run.output().slice(-4_000));
  const found = JSON.parse(readFileSync(file, "utf8")) as Found;
  assert.equal(found.completed, requests, run.output().slice(-4_000));
  return found;
}
