/** The operator's door: HTTP on a Unix socket that only the user who runs llmux can open. */
import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { answerOperator, type OperatorDesk } from "./operator-routes.ts";

/** What operators are answered with, and where. */
export interface ControlServerOptions extends OperatorDesk {
  readonly socketPath: string;
}

/** The longest path that a Unix socket can have, in bytes: Linux has room for 108, the rest of the world for 104. */
const SOCKET_PATH_BYTES_MAX = process.platform === "linux" ? 107 : 103;

/** A request that is not complete by then is dropped. */
const REQUEST_TIMEOUT_MS = 10_000;

/** A listener that does not accept within this time is taken for alive all the same. */
const PROBE_TIMEOUT_MS = 1_000;

const CONNECTIONS_MAX = 64;

/** Listens from `listen()` to `close()`. */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: 1 },
      (request, response) => this.#answer(request, response),
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /**
   * Makes the socket, with its folder where that is missing. Rejects with a sentence when another llmux listens there, when
   * something else than a socket is in the way, and when the path is too long.
   */
  async listen(): Promise<void> {
    const { socketPath } = this.#options;
    const pathBytes = Buffer.byteLength(socketPath);
    if (pathBytes > SOCKET_PATH_BYTES_MAX) {
      const limit = `the system allows ${SOCKET_PATH_BYTES_MAX}: choose a shorter state_dir`;
      throw new Error(`the path of the control socket, ${socketPath}, has ${pathBytes} bytes, and ${limit}`);
    }
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 });
    try {
      await listenPrivately(this.#server, socketPath);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      await removeStaleSocket(socketPath);
      await listenPrivately(this.#server, socketPath);
    }
    // A connection that cannot be accepted, for want of file descriptors, is that client's loss and no more.
    this.#server.on("error", () => {});
  }

  /** Stops listening and removes the socket. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // No route has a body; what is sent all the same is read and dropped.
    request.resume();
    const { status, document } = answerOperator(this.#options, request.method ?? "", request.url ?? "");
    const bytes = Buffer.from(`${JSON.stringify(document)}\n`);
    response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
    response.end(bytes);
  }
}

/** Binding takes place before `listen` returns, so that the mask holds for it and for nothing else: the socket is 0600 at once. */
function listenPrivately(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const mask = process.umask(0o177);
    try {
      server.listen(socketPath, () => {
        server.off("error", reject);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

/** Removes a socket at which nobody listens. */
async function removeStaleSocket(socketPath: string): Promise<void> {
  const before = lstatSync(socketPath);
  if (!before.isSocket()) throw new Error(`${socketPath} is in the way: it is no socket, so it is left as it is`);
  if (await isListening(socketPath)) {
    throw new Error(`another llmux runs with this state_dir: it listens at ${socketPath}`);
  }
  // Another llmux that starts at this moment may have put its own there since.
  if (lstatSync(socketPath).ino === before.ino) unlinkSync(socketPath);
}

function isListening(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const answer = (listening: boolean): void => {
      socket.destroy();
      resolve(listening);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => answer(true));
    socket.once("connect", () => answer(true));
    // Only a refusal proves that nobody is there.
    socket.once("error", (error: NodeJS.ErrnoException) => answer(error.code !== "ECONNREFUSED"));
  });
}
