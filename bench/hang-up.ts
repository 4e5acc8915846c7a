/**
 * How long an engine goes on working for a client that has gone: from the moment a client closes its connection to the moment the engine's
 * side of the request is closed. Client and engine are in this process, so both moments are read from one clock.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../test/support/until.ts";
import { BenchGround, freePorts, type StartedProcess } from "./bench-ground.ts";
import { distributionOf } from "./distribution.ts";
import { llmuxCommand } from "./gateways.ts";
import type { Check, Report, Table } from "./report.ts";

const MODEL = "model";
const HANG_UPS = 100;
const WARM_UP = 20;

/** Nobody's tokens are made for longer than this. */
const TARGET_MS = 100;

/** A stream has a token this often. */
const TOKEN_MS = 5;

/** The moments at which clients hang up. */
const KINDS = {
  "in the middle of a stream": { stream: true, begins: true },
  "before the first byte of a stream": { stream: true, begins: false },
  "before the answer": { stream: false, begins: false },
} as const;

type Kind = (typeof KINDS)[keyof typeof KINDS];

/** Runs all kinds, with nothing beside and with streams that go on. */
export async function hangUp(): Promise<Report> {
  await using ground = new BenchGround(null);
  const engine = await startEngine();
  const [port = 0] = await freePorts(1);
  const config = {
    host: "127.0.0.1",
    port,
    metrics_port: 0,
    models: { [MODEL]: { engine: { external: { url: engine.origin, health: "/health" } } } },
  };
  const llmux = ground.start("llmux", llmuxCommand(ground.write("llmux.json", JSON.stringify(config))));
  const rows: Table["rows"][number][] = [];
  const checks: Check[] = [];
  try {
    await until("llmux answers", () => answersAt(port, llmux));
    for (const beside of [0, 50]) {
      const others = await Promise.all(
        Array.from({ length: beside }, () => ask(port, KINDS["in the middle of a stream"])),
      );
      for (const [name, kind] of Object.entries(KINDS)) {
        const times: number[] = [];
        for (let count = 0; count < WARM_UP + HANG_UPS; count += 1) {
          const ms = await timeOf(port, kind, engine);
          if (count >= WARM_UP) times.push(ms);
        }
        const { median, p90, p99, max } = distributionOf(times);
        rows.push([name, beside, median, p90, p99, max]);
        checks.push({
          what: `${name}, ${beside} beside`,
          measured: max,
          bound: "at most",
          target: TARGET_MS,
          unit: "ms",
        });
      }
      for (const other of others) other.destroy();
    }
  } finally {
    engine.close();
  }
  const title = `${HANG_UPS} clients of each kind hang up, one after the other`;
  const columns = ["when", "streams beside", "median ms", "p90", "p99", "max"];
  return { tables: [{ title, columns, rows }], checks, notes: [] };
}

/** From the client's end to the engine's. */
async function timeOf(port: number, kind: Kind, engine: Engine): Promise<number> {
  const { promise: arrived, resolve: onRequest } = Promise.withResolvers<IncomingMessage>();
  engine.onRequest = onRequest;
  const client = await ask(port, kind);
  const request = await arrived;
  // Somewhere between two tokens.
  await delay(Math.random() * TOKEN_MS);
  const closed = new Promise((resolve) => request.socket.once("close", resolve));
  const hungUpAtMs = performance.now();
  client.destroy();
  await closed;
  return performance.now() - hungUpAtMs;
}

/** A client whose request is at the engine, or, where it begins, whose answer has. */
async function ask(port: number, { stream, begins }: Kind): Promise<Socket> {
  const client = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(client, "connect");
  const messages = [{ role: "user", content: begins ? "begin" : "wait" }];
  const body = JSON.stringify({ model: MODEL, stream, messages });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: llmux\r\ncontent-type: application/json\r\n`;
  client.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
  if (begins) await once(client, "data");
  client.resume().on("error", () => {});
  return client;
}

async function answersAt(port: number, llmux: StartedProcess): Promise<boolean> {
  if (llmux.hasEnded()) throw new Error(`llmux has ended:\n${llmux.output().slice(-2_000)}`);
  return fetch(`http://127.0.0.1:${port}/health`).then(
    ({ ok }) => ok,
    () => false,
  );
}

interface Engine {
  readonly origin: string;
  onRequest: (request: IncomingMessage) => void;
  close(): void;
}

/** Streams tokens for ever to whoever begins; never answers to anybody else. */
async function startEngine(): Promise<Engine> {
  const onRequest = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === "/health") return void response.end();
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += String(chunk);
    engine.onRequest(request);
    if (!body.includes('"begin"')) return;
    response.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => response.write(`data: {"choices":[{"delta":{"content":"x"}}]}\n\n`), TOKEN_MS);
    response.on("close", () => clearInterval(timer));
  };
  const server = createServer((request, response) => void onRequest(request, response).catch(() => response.destroy()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const engine: Engine = {
    origin: `http://127.0.0.1:${port}`,
    onRequest() {},
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return engine;
}
