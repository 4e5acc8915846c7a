/** The HTTP listener: from the bare connection to the route, with vLLM's rules for keys, errors and the access log. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { ClientGoneError } from "../decoder.ts";
import { EngineDeadError } from "../engine-link.ts";
import { TransitionError } from "../engine.ts";
import { parseNumber } from "../quantity.ts";
import type { Services } from "../services.ts";
import { hasKey, isGuarded } from "./access-rules.ts";
import { ApiError, FrameworkError, serverError } from "./api-errors.ts";
import { Exchange } from "./exchange.ts";
import { findRoute } from "./routes.ts";
import { isWebSocket, WebSockets } from "./web-sockets.ts";

// Importing node:http also runs its lazy exports, WebSocket and all of undici among them: 30 ms at every start.
const http = process.getBuiltinModule("node:http");

/** A listener that can be made deaf. */
export interface Listener {
  readonly server: Server;
  /** Ends what WebSockets there are, with the code of a server that goes away. */
  closeWebSockets(): void;
  /** Reads nothing more from any client, for `ms` or for good. */
  stopReading(ms: number | undefined): void;
}

/** Makes the listener; it does not listen yet. `services` may be set later, before the first request. */
export function createListener(services: () => Services, keepAliveMs: number): Listener {
  const sockets = new Set<Socket>();
  let isDeaf = false;
  const options = { shouldUpgradeCallback: isWebSocket };
  const server = http.createServer(options, (request, response) => {
    void answer(request, response, services());
  });
  const webSockets = new WebSockets(services);
  // Where Node cannot tell one upgrade from another, there are none: it would take every request that offers HTTP/2 for one.
  if ("shouldUpgradeCallback" in server) {
    server.on("upgrade", (request, socket, head) => webSockets.open(request, socket, head));
  }
  server.keepAliveTimeout = keepAliveMs;
  // uvicorn has no time limits for slow requests, and closes idle connections to the moment.
  server.keepAliveTimeoutBuffer = 0;
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  server.on("connection", (socket: Socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    if (isDeaf) socket.pause();
  });
  return {
    server,
    closeWebSockets: () => webSockets.close(),
    stopReading(ms) {
      isDeaf = true;
      for (const socket of sockets) socket.pause();
      if (ms === undefined) return;
      setTimeout(() => {
        isDeaf = false;
        for (const socket of sockets) socket.resume();
      }, ms);
    },
  };
}

/** How long an idle connection stays open, in ms: 5 s unless VLLM_HTTP_TIMEOUT_KEEP_ALIVE (seconds) says otherwise. */
export function keepAliveOf(env: NodeJS.ProcessEnv): number {
  const name = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE";
  return 1000 * parseNumber(env[name] ?? "5", name, { min: 0, max: Number.MAX_SAFE_INTEGER, whole: false });
}

async function answer(request: IncomingMessage, response: ServerResponse, services: Services): Promise<void> {
  const url = new URL(request.url ?? "/", "http://engine");
  const exchange = new Exchange(request, response, url, services);
  if (services.args.accessLog) logAccess(exchange);
  try {
    await dispatch(exchange);
  } catch (error) {
    fail(exchange, error);
  } finally {
    const { logged } = exchange;
    if (logged !== undefined) services.requests.close(logged, response.statusCode < 400 ? "finished" : "failed");
  }
}

async function dispatch(exchange: Exchange): Promise<void> {
  const { request, url, services } = exchange;
  const method = request.method ?? "GET";
  const route = findRoute(method, url.pathname, services.devMode);
  if (isGuarded(url.pathname) && !hasKey(request, services.args.apiKeys)) {
    return exchange.sendJson(401, { error: "Unauthorized" });
  }
  if (route === "not found") {
    const shorter = url.pathname.replace(/\/$/, "");
    if (findRoute(method, shorter, services.devMode) !== "not found") return exchange.redirect(shorter + url.search);
    throw new FrameworkError(404, "Not Found");
  }
  if (route === "wrong method") throw new FrameworkError(405, "Method Not Allowed");
  if (route.kind === "answer") {
    services.events.add("request received", url.pathname);
    exchange.logged = services.requests.open({ method, path: url.pathname, headers: request.headers });
    await strike(exchange);
  }
  return route.handle(exchange);
}

/** The faults that meet a request before its route does. */
async function strike({ services }: Exchange): Promise<void> {
  const { faults, engine } = services;
  if (faults.take("crash-api-on-request") !== undefined) process.kill(process.pid, "SIGKILL");
  if (faults.take("crash-engine-on-request") !== undefined) {
    engine.link.kill();
    await engine.link.died;
  }
  const status = faults.take("request-error");
  if (status !== undefined)
    throw new ApiError(Number(status === "" ? 500 : status), "InternalServerError", "mock fault: request-error");
}

function fail(exchange: Exchange, error: unknown): void {
  const { response, logged, services } = exchange;
  if (error instanceof ClientGoneError || exchange.gone.aborted) {
    if (logged !== undefined) services.requests.close(logged, "client gone");
    response.destroy();
    return;
  }
  if (logged !== undefined) services.requests.close(logged, "failed");
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const known = error instanceof ApiError || error instanceof FrameworkError ? error : undefined;
  if (known === undefined && !(error instanceof EngineDeadError) && !(error instanceof TransitionError)) {
    services.log.error("launcher.py:80", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const answered = known ?? serverError(error instanceof Error ? error.message : String(error));
  exchange.sendJson(answered.status, answered.body);
}

function logAccess({ request, response, services }: Exchange): void {
  const { remoteAddress = "unix", remotePort = 0 } = request.socket;
  response.once("close", () => {
    if (!response.headersSent) return;
    const reason = http.STATUS_CODES[response.statusCode] ?? "";
    services.log.plain(
      `INFO:     ${remoteAddress}:${remotePort} - "${request.method} ${request.url} HTTP/${request.httpVersion}" ${response.statusCode} ${reason}`,
    );
  });
}
