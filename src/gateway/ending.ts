/** How a request ended, as far as the gateway and the engine are concerned. */
import { formatDuration } from "../base/duration.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { AccessOutcome } from "../ports/access-record.ts";

/** For the log and the metrics. */
export interface Ending {
  readonly status: number;
  readonly outcome: AccessOutcome;
  readonly failure?: Failure;
}

/** Of a request whose client left; nobody ever sees it. */
const CLIENT_LEFT_STATUS = 499;

/** The client has left before its end. */
export const ABANDONED: Ending = { status: CLIENT_LEFT_STATUS, outcome: "abandoned" };

/** The client has read nothing for so long, in ms, that it was left. */
export function stalled(timeoutMs: number): Ending {
  const message = `The client has read nothing for ${formatDuration(timeoutMs)} (client_stall_secs).`;
  return { ...ABANDONED, failure: failure("client_stalled", message) };
}
