/** What the gateway makes of a head, whatever body follows it: once for all requests of a connection that begin with it. */
import { readRequestHeaders, type RequestHeaders } from "./headers.ts";
import type { RequestHead } from "./http1/request-head.ts";
import type { Reception } from "./reception.ts";

/** Kept with the head. */
export class HeadReading {
  readonly headers: RequestHeaders;
  /** How its requests are received, where that is the same each time. */
  reception: Reception | null = null;

  constructor(head: RequestHead) {
    this.headers = readRequestHeaders(head.rawHeaders);
  }
}

/** What was made of the head before, or is made now. */
export function readingOf(head: RequestHead): HeadReading {
  if (head.reading instanceof HeadReading) return head.reading;
  const reading = new HeadReading(head);
  head.reading = reading;
  return reading;
}
