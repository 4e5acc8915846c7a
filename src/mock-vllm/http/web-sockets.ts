/** Requests for a WebSocket: who may come in, to what, and that all of them end with the server. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Services } from "../services.ts";
import { hasKey, isGuarded } from "./access-rules.ts";
import { RealtimeSession } from "./realtime.ts";
import { WebSocketConnection } from "./web-socket.ts";

const realtimePath = "/v1/realtime";

/** What uvicorn says to those that are open when it ends. */
const serviceRestart = 1012;

/** Whether a request asks for a WebSocket. */
export function isWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
}

/** All of one server. */
export class WebSockets {
  readonly #services: () => Services;
  readonly #open = new Set<WebSocketConnection>();

  constructor(services: () => Services) {
    this.#services = services;
  }

  open(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const services = this.#services();
    const { pathname: path } = new URL(request.url ?? "/", "http://engine");
    if (isGuarded(path) && !hasKey(request, services.args.apiKeys)) {
      return refuse(socket, "401 Unauthorized", '{"error":"Unauthorized"}');
    }
    // An application that knows no such route refuses, and does not say that it was not found.
    if (path !== realtimePath) return refuse(socket, "403 Forbidden", "");
    return this.#begin(services, request, socket, head);
  }

  close(): void {
    for (const connection of this.#open) connection.close(serviceRestart);
  }

  #begin(services: Services, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { log, args, requests, events } = services;
    const say = (line: string): void => {
      if (args.accessLog) log.plain(`INFO:     ${line}`);
    };
    events.add("request received", realtimePath);
    const logged = requests.open({ method: "GET", path: realtimePath, headers: request.headers });
    const { remoteAddress = "unix", remotePort = 0 } = request.socket;
    const connection = new WebSocketConnection(request, socket, head, {
      onText: (text) => session.onText(text),
      // The application fails on it, and takes the connection with it.
      onBinary: () => socket.destroy(),
      onClosed: () => {
        this.#open.delete(connection);
        session.end();
        say("connection closed");
      },
    });
    this.#open.add(connection);
    say(`${remoteAddress}:${remotePort} - "WebSocket ${request.url}" [accepted]`);
    say("connection open");
    const session = new RealtimeSession(services, logged, (event) => connection.send(JSON.stringify(event)));
  }
}

function refuse(socket: Duplex, status: string, body: string): void {
  socket.on("error", () => {});
  const type = body === "" ? "" : "content-type: application/json\r\n";
  socket.end(
    `HTTP/1.1 ${status}\r\nserver: uvicorn\r\n${type}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}
