/** Ends a connection so that what was said last on it is heard. */
import type { Duplex } from "node:stream";
import type { ConnectionHost } from "./connection-host.ts";

/** How long a client may take to see the end and say its own, in ms. */
const LINGER_MS = 1_000;

/** What it may still send meanwhile, in bytes: about as much as comes from a fast one before it has seen its answer. */
const THROWN_AWAY_BYTES_MAX = 64 * 1024 * 1024;

/**
 * To be called when `end` has been. A connection that is closed while something comes that nobody reads is reset, and the reset may overtake,
 * or take back, what the client was told. So what comes is read and thrown away until the client ends too; but within limits, and
 * then the connection goes all the same.
 */
export function endGently(socket: Duplex, clock: Pick<ConnectionHost, "after">): void {
  const onEnd = (): void => {
    if (socket.readableEnded && socket.writableFinished) socket.destroy();
  };
  let leftBytes = THROWN_AWAY_BYTES_MAX;
  socket.on("data", (bytes: Buffer) => {
    leftBytes -= bytes.length;
    if (leftBytes < 0) socket.destroy();
  });
  socket.once("end", onEnd);
  socket.once("finish", onEnd);
  const timer = clock.after(LINGER_MS, () => socket.destroy());
  socket.once("close", () => timer.cancel());
  socket.resume();
  onEnd();
}
