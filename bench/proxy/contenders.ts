/** The proxies that are compared, each before an upstream of its own kind: how they are configured, and how they come up. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createKey, hashOfKey } from "../../src/base/api-key.ts";
import { findProgram } from "../../src/platform/find-program.ts";
import { until } from "../../test/support/until.ts";
import { freePorts, type BenchGround, type StartedProcess } from "../bench-ground.ts";
import { llmuxCommand } from "../gateways.ts";
import { withChildren } from "./cpu-time.ts";
import { AWAKE_MODEL, chatBody, requestBytes, SILENT_MODEL } from "./exchanges.ts";
import { Wire } from "./wire.ts";

const UPSTREAM = fileURLToPath(new URL("./upstream.ts", import.meta.url));
const BARE_NODE = fileURLToPath(new URL("./bare-node.ts", import.meta.url));
const BARE_GO = fileURLToPath(new URL("./bare-go.go", import.meta.url));

/** The name of this program in the tables. */
export const LLMUX = "llmux";

/** What the runtime alone costs. */
export const RUNTIME = "bare Node";

/** What Go's standard library alone costs: llama-swap passes requests on by it, after it has read them. */
export const GO_LIBRARY = "Go's proxy";

/** What all clients show; only llmux asks for it. */
export const KEY = createKey();

/** One that is under measurement. */
export interface Contender {
  readonly name: string;
  readonly port: number;
  /** The process that was started. */
  readonly pid: number;
  /** Those whose CPU time counts: the proxy's, and not the upstream's. */
  readonly pids: readonly number[];
  readonly end: () => Promise<void>;
}

/** A program that may not be there. */
interface Peer {
  readonly name: string;
  /** An environment variable with its path. */
  readonly variable: string;
  readonly program: string;
  readonly howToInstall: string;
  /** Each has an upstream to itself: one that serves several is compiled sooner, and faster for it. */
  readonly start: (ground: BenchGround, program: string) => Promise<Contender>;
}

const PEERS: readonly Peer[] = [
  { name: "nginx", variable: "NGINX", program: "nginx", howToInstall: "apt-get install nginx", start: startNginx },
  {
    name: "haproxy",
    variable: "HAPROXY",
    program: "haproxy",
    howToInstall: "apt-get install haproxy",
    start: startHaproxy,
  },
  {
    name: "llmux 0.3.0",
    variable: "LLMUX_030",
    program: "llmux-0.3.0",
    howToInstall: "cargo install llmux@0.3.0 --root DIR",
    start: startPredecessor,
  },
  {
    name: "llama-swap",
    variable: "LLAMA_SWAP",
    program: "llama-swap",
    howToInstall: "go install github.com/mostlygeek/llama-swap@latest",
    start: startLlamaSwap,
  },
  { name: GO_LIBRARY, variable: "GO", program: "go", howToInstall: "apt-get install golang-go", start: startBareGo },
];

/** Those that are there, and a line for each that is not. */
export interface Field {
  readonly contenders: readonly Contender[];
  readonly notes: readonly string[];
}

/** Starts an upstream, "direct", all proxies that are there, and one that does nothing. */
export async function startField(ground: BenchGround): Promise<Field> {
  const direct = await startUpstream(ground);
  const contenders = [direct];
  const notes: string[] = [];
  for (const peer of PEERS) {
    const { name, variable, howToInstall, start } = peer;
    const found = programOf(peer);
    if (found === null) notes.push(`${name} is left out: set ${variable} to its program (${howToInstall}).`);
    else contenders.push(await start(ground, found));
  }
  contenders.push(await startBareNode(ground), await startThisLlmux(ground));
  return { contenders, notes };
}

/** Where nginx is; null where it is not installed. */
export function nginxProgram(): string | null {
  const nginx = PEERS.find(({ name }) => name === "nginx");
  return nginx === undefined ? null : programOf(nginx);
}

function programOf({ variable, program }: Peer): string | null {
  return findProgram(process.env[variable] ?? program, `${process.env["PATH"]}:/usr/sbin`);
}

/** The one of this name, or null. */
export function named({ contenders }: Field, name: string): Contender | null {
  return contenders.find((contender) => contender.name === name) ?? null;
}

async function startUpstream(ground: BenchGround): Promise<Contender> {
  const [port = 0] = await freePorts(1);
  const started = ground.start(`upstream-${port}`, [process.execPath, UPSTREAM, "--port", String(port)]);
  return ready("direct", port, started, [started.pid]);
}

async function startBareNode(ground: BenchGround): Promise<Contender> {
  const [port = 0] = await freePorts(1);
  const { port: upstreamPort } = await startUpstream(ground);
  const started = ground.start(`bare-${port}`, [process.execPath, BARE_NODE, String(port), String(upstreamPort)]);
  return ready(RUNTIME, port, started, [started.pid]);
}

async function startBareGo(ground: BenchGround, go: string): Promise<Contender> {
  const [port = 0] = await freePorts(1);
  const { port: upstreamPort } = await startUpstream(ground);
  const program = `${ground.folder}/bare-go`;
  execFileSync(go, ["build", "-o", program, BARE_GO]);
  const started = ground.start(`go-${port}`, [program, String(port), String(upstreamPort)]);
  return ready(GO_LIBRARY, port, started, [started.pid]);
}

/** This llmux with everything switched on that costs something for each request. `more`: further keys of its configuration. */
export async function startThisLlmux(
  ground: BenchGround,
  extra: readonly string[] = [],
  more: Readonly<Record<string, unknown>> = {},
): Promise<Contender> {
  const [port = 0, metricsPort = 0, awakePort = 0, silentPort = 0] = await freePorts(4);
  const [program, ...args] = llmuxCommand(
    ground.write(
      "llmux.json",
      JSON.stringify({
        host: "127.0.0.1",
        port,
        metrics_port: metricsPort,
        admin_key: hashOfKey(createKey()),
        api_keys: [
          { name: "bench", hash: hashOfKey(KEY), requests_per_minute: 100_000_000, max_in_flight: 100_000 },
          ...Array.from({ length: 99 }, (_, at) => ({ name: `other-${at}`, hash: hashOfKey(createKey()) })),
        ],
        record_trace: `${ground.folder}/trace-${port}.csv`,
        max_body_bytes: "256MiB",
        vllm_command: [process.execPath, UPSTREAM],
        nvidia_smi_command: "false",
        state_dir: `${ground.folder}/state-${port}`,
        policy: { policy_type: "fifo", request_timeout_secs: 600, max_queued: 20_000, max_queued_total: 20_000 },
        models: {
          [AWAKE_MODEL]: { model_path: AWAKE_MODEL, port: awakePort },
          [SILENT_MODEL]: { model_path: SILENT_MODEL, port: silentPort },
        },
        ...more,
      }),
    ),
  );
  const started = ground.start(`llmux-${port}`, [program, ...extra, ...args]);
  return ready(LLMUX, port, started, [started.pid]);
}

async function startNginx(ground: BenchGround, program: string): Promise<Contender> {
  const [port = 0] = await freePorts(1);
  const { port: upstreamPort } = await startUpstream(ground);
  const started = ground.start("nginx", nginxCommand(ground, program, port, upstreamPort));
  return ready("nginx", port, started, null);
}

/** What starts an nginx that passes on all requests, streams as they come; once a ground. */
export function nginxCommand(
  ground: BenchGround,
  program: string,
  port: number,
  upstreamPort: number,
): readonly [string, ...string[]] {
  const folder = `${ground.folder}/nginx`;
  mkdirSync(folder);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (of) => `${of}_temp_path ${folder}/${of};`,
  );
  const config = ground.write(
    "nginx.conf",
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/errors;
worker_rlimit_nofile 20000; user root;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 100000000; client_max_body_size 0; ${temporary.join(" ")}
  upstream engine { server 127.0.0.1:${upstreamPort}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 600s;
    }
  }
}
`,
  );
  return [program, "-p", folder, "-e", `${folder}/errors`, "-c", config];
}

async function startHaproxy(ground: BenchGround, program: string): Promise<Contender> {
  const [port = 0] = await freePorts(1);
  const { port: upstreamPort } = await startUpstream(ground);
  const config = ground.write(
    "haproxy.cfg",
    `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend clients
  bind 127.0.0.1:${port}
  default_backend engine
backend engine
  server one 127.0.0.1:${upstreamPort}
`,
  );
  const started = ground.start("haproxy", [program, "-db", "-f", config]);
  return ready("haproxy", port, started, [started.pid]);
}

async function startPredecessor(ground: BenchGround, program: string): Promise<Contender> {
  const [port = 0, enginePort = 0] = await freePorts(2);
  const engine = ground.executable("engine-030", `exec '${process.execPath}' '${UPSTREAM}' "$@"`);
  const config = ground.write(
    "llmux-030.json",
    JSON.stringify({
      port,
      metrics_port: 0,
      vllm_command: engine,
      policy: { policy_type: "fifo", min_active_secs: 0, request_timeout_secs: 60 },
      models: { [AWAKE_MODEL]: { model_path: AWAKE_MODEL, port: enginePort, extra_args: ["--host", "127.0.0.1"] } },
    }),
  );
  const started = ground.start("llmux-030", [program, "--config", config]);
  return ready("llmux 0.3.0", port, started, [started.pid]);
}

async function startLlamaSwap(ground: BenchGround, program: string): Promise<Contender> {
  const [port = 0, enginePort = 0] = await freePorts(2);
  const config = ground.write(
    "llama-swap.yaml",
    // It refuses more than 10 requests at once to a model unless told otherwise, and none of the others logs requests.
    `logLevel: warn
models:
  "${AWAKE_MODEL}":
    cmd: ${process.execPath} ${UPSTREAM} --port ${enginePort}
    proxy: http://127.0.0.1:${enginePort}
    ttl: 0
    concurrencyLimit: 20000
`,
  );
  const started = ground.start("llama-swap", [program, "--config", config, "--listen", `127.0.0.1:${port}`]);
  return ready("llama-swap", port, started, [started.pid]);
}

/** Waits until the upstream answers through it. Without `pids`, the work is its children's. */
async function ready(
  name: string,
  port: number,
  started: StartedProcess,
  pids: readonly number[] | null,
): Promise<Contender> {
  await until(`${name} answers`, async () => {
    if (started.hasEnded()) throw new Error(`${name} has ended:\n${started.output().slice(-2_000)}`);
    return answers(port);
  });
  return { name, port, pid: started.pid, pids: pids ?? withChildren(started.pid), end: started.end };
}

async function answers(port: number): Promise<boolean> {
  let wire: Wire;
  try {
    wire = await Wire.open(port);
  } catch {
    return false;
  }
  try {
    return (await wire.ask(requestBytes(KEY, "nothing", chatBody(AWAKE_MODEL, false)))).status === 200;
  } catch {
    return false;
  } finally {
    wire.close();
  }
}
