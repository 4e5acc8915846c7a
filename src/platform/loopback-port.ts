/** Finds out which loopback ports are free. */
import { createServer, type AddressInfo } from "node:net";

/** Rejects when `port` on this address cannot be had; resolves with the port, a free one for 0. */
export function claimPort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      const { port: claimed } = server.address() as AddressInfo;
      server.close(() => resolve(claimed));
    });
  });
}
