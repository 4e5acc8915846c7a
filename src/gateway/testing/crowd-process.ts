/**
 * Clients in a process of their own, since both ends of ten thousand connections are more files than one process may have open in some
 * places: `fork`ed, it is told what to do, and says when it is done.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** What it is told. Each is answered by its own kind. */
export type CrowdOrder =
  /** So many come, and each sends these bytes. */
  | { readonly kind: "come"; readonly port: number; readonly clients: number; readonly bytes: string }
  | { readonly kind: "go" };

const AT_ONCE = 50;

let sockets: Socket[] = [];

process.on("message", (order: CrowdOrder) => {
  void obey(order).then(() => process.send?.(order.kind));
});
// Whoever has forked it has gone.
process.on("disconnect", () => process.exit());

async function obey(order: CrowdOrder): Promise<void> {
  if (order.kind === "go") {
    for (const socket of sockets) socket.destroy();
    sockets = [];
    return;
  }
  while (sockets.length < order.clients) {
    const coming = Array.from({ length: Math.min(AT_ONCE, order.clients - sockets.length) }, () => {
      const socket = connect({ port: order.port, host: "127.0.0.1" });
      socket.on("error", () => {});
      socket.write(order.bytes);
      sockets.push(socket);
      return once(socket, "connect");
    });
    await Promise.all(coming);
  }
}
