/** Clients for tests: one that asks as usual, and one that writes raw bytes. */
import { once } from "node:events";
import { request as httpRequest, type Agent, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { Stage } from "./stage.ts";
import { until } from "./stage.ts";

/** An answer as the client got it. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Whether it was cut before its proper end. */
  readonly isCut: boolean;
}

/** What is asked, where it is not a chat with alpha. */
export interface Question {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | null;
  readonly agent?: Agent;
}

/** A chat request for this model. */
export function chat(model: string, more: object = {}): string {
  return JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], ...more });
}

/** Asks and reads the whole answer. Rejects only when there is no answer at all. */
export async function ask(stage: Pick<Stage, "port">, question: Question = {}): Promise<Reply> {
  const answer = await open(stage, question);
  const chunks: Buffer[] = [];
  answer.on("data", (chunk: Buffer) => chunks.push(chunk));
  answer.on("error", () => {});
  await new Promise<void>((resolve) => {
    answer.once("close", resolve);
  });
  const { statusCode: status = 0, headers } = answer;
  return { status, headers, body: Buffer.concat(chunks), isCut: !answer.complete };
}

/** Asks and hands over the answer when its head has come. */
export function open(stage: Pick<Stage, "port">, question: Question = {}): Promise<IncomingMessage> {
  const { method = "POST", path = "/v1/chat/completions", headers = {}, body = chat("alpha"), agent } = question;
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: stage.port, method, path, headers };
    const request = httpRequest({ ...options, ...(agent === undefined ? {} : { agent }) }, resolve);
    request.on("error", reject);
    request.end(body ?? undefined);
  });
}

/** The JSON of an answer. */
export function json(reply: Reply): { readonly error?: Record<string, unknown>; readonly [key: string]: unknown } {
  return JSON.parse(reply.body.toString());
}

/** A connection on which a test writes what it likes. */
export class RawClient {
  readonly socket: Socket;
  received = "";
  isClosed = false;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.on("data", (chunk) => {
      this.received += chunk.toString("latin1");
    });
    this.socket.on("error", () => {});
    this.socket.on("end", () => {
      this.isClosed = true;
    });
    this.socket.on("close", () => {
      this.isClosed = true;
    });
  }

  static async open(stage: Stage): Promise<RawClient> {
    const client = new RawClient(stage.port);
    await once(client.socket, "connect");
    return client;
  }

  /** Writes a request with this body; the target is taken as it is. */
  send(method: string, target: string, body: string, headers = ""): void {
    const length = Buffer.byteLength(body);
    this.socket.write(`${method} ${target} HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n${headers}\r\n${body}`);
  }

  async until(pattern: RegExp): Promise<RegExpExecArray> {
    await until(() => pattern.test(this.received) || this.isClosed, `${pattern} in ${this.received.slice(0, 500)}`);
    const match = pattern.exec(this.received);
    if (match === null) throw new Error(`closed before ${pattern}: ${this.received.slice(0, 500)}`);
    return match;
  }

  async untilClosed(): Promise<string> {
    await until(() => this.isClosed, `the connection closes; so far ${this.received.slice(0, 500)}`);
    return this.received;
  }
}
