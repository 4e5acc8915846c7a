/** The address of the API server: bound early, so that nobody else takes the port, and listened on late, as vLLM does. */
import type { Server } from "node:http";
import { lookup } from "node:dns/promises";
import net from "node:net";
import { UsageError } from "./usage-error.ts";

/** An address that is taken and refuses connections until `listen`. */
export interface BoundAddress {
  /** As a person would write it, e.g. `http://127.0.0.1:8000`. */
  readonly name: string;
  /** Lets connections in from now on. Rejects with the system's error if the address is in use after all. */
  listen(server: Server): Promise<void>;
}

/** Takes the address; throws the system's error (EADDRINUSE, EACCES) if that cannot be done. */
export async function bindAddress(where: {
  host: string | undefined;
  port: number;
  udsPath: string | undefined;
}): Promise<BoundAddress> {
  const { udsPath } = where;
  if (udsPath !== undefined)
    return { name: `unix:${udsPath}`, listen: (server) => listening(server, { path: udsPath }) };
  const host = await numericHost(where.host);
  if (typeof net.BoundSocket !== "function") {
    // Before Node 26.4 an address cannot be bound without listening; then it is only looked at, and taken in the end.
    const probe = net.createServer();
    await listening(probe, { host, port: where.port });
    const address = probe.address();
    const port = typeof address === "object" && address !== null ? address.port : where.port;
    await new Promise((resolve) => probe.close(resolve));
    return { name: urlOf(host, port), listen: (server) => listening(server, { host, port }) };
  }
  const socket = new net.BoundSocket({ host, port: where.port });
  return { name: urlOf(host, socket.address().port), listen: (server) => listening(server, socket) };
}

async function numericHost(host: string | undefined): Promise<string> {
  if (host === undefined || host === "") return "0.0.0.0";
  if (net.isIP(host) !== 0) return host;
  try {
    return (await lookup(host, { family: 4 })).address;
  } catch (error) {
    throw new UsageError(`--host: expected an address of this machine, found "${host}"`, { cause: error });
  }
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function listening(server: net.Server, target: object): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(target, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
