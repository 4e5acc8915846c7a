/** Ends an answer that has begun and cannot be completed, so that no client takes it for complete. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Clock } from "../ports/clock.ts";

/** How long a client may take to read its last event before the connection goes all the same. */
const LAST_EVENT_MS = 5_000;

/** What of the answer has gone out. */
export interface BrokenAnswer {
  readonly response: ServerResponse;
  /** Whether its head told the length of its body. */
  readonly hasLength: boolean;
  /** Sent before the end, where the form of the answer has room for it. */
  readonly lastWords: string | null;
}

/** The connection does not survive this. */
export function breakOff(answer: BrokenAnswer, clock: Clock): void {
  const { response, lastWords } = answer;
  if (response.socket === null) return destroyInTurn(response);
  if (lastWords === null || response.destroyed) return destroyAbruptly(answer);
  const timer = clock.after(LAST_EVENT_MS, () => destroyAbruptly(answer));
  response.once("close", () => timer.cancel());
  response.write(lastWords, () => destroyAbruptly(answer));
}

/**
 * A client that was told the length, or reads chunks, sees that the end is missing. Any other one takes the end of the
 * connection for the end of the answer, unless the connection is reset.
 */
export function destroyAbruptly({ response, hasLength }: Omit<BrokenAnswer, "lastWords">): void {
  if (hasLength || response.chunkedEncoding || response.socket === null) response.destroy();
  // TLS has a word for the end, which is not said here: its absence is the cut.
  else if (response.socket instanceof TLSSocket) response.socket.destroy();
  else response.socket.resetAndDestroy();
}

/**
 * Destroys an answer that may still wait behind an earlier one of its connection. Node would send what is there of it when its
 * turn comes, and leave the connection open for ever, with all that waits behind it.
 */
export function destroyInTurn(response: ServerResponse): void {
  if (response.socket === null) response.once("socket", (socket: Socket) => socket.destroy());
  response.destroy();
}
