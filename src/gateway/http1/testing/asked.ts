/** A connection on which one request waits for its answer. */
import { PlayedConnection, type PlayedRequest } from "./played-connection.ts";

/** The request has no body. */
export async function asked(
  method = "POST",
  version = "1.1",
): Promise<PlayedConnection & { readonly played: PlayedRequest }> {
  const play = new PlayedConnection();
  await play.say(`${method} / HTTP/${version}\r\nhost: x\r\n\r\n`);
  return Object.assign(play, { played: play.at(0) });
}

/** What the client has got, without the head. */
export function bodyOf(heard: string): string {
  return heard.slice(heard.indexOf("\r\n\r\n") + 4);
}
