/** What all requests of one gateway share. */
import type { Chained } from "../base/chain.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import type { Clock } from "../ports/clock.ts";
import type { BodyLimits } from "./body.ts";
import type { Doorkeeper } from "./doorkeeper.ts";
import type { Heart } from "./heart.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { LateWork } from "./late-work.ts";
import type { LeaseDesk } from "./lease-desk.ts";
import type { ListingSource } from "./listing.ts";
import type { MadeResponses } from "./made-responses.ts";
import type { Models } from "./models.ts";

/** A request in progress, as the server sees it. */
export interface OpenRequest extends Chained<OpenRequest> {
  /** In ms since 1970. */
  readonly arrivedAtEpochMs: number;
  /** The server takes no more: its connection is not to be used again. */
  closeAfterwards(): void;
}

/** Made once by the server, handed to each exchange. */
export interface ExchangeHouse extends ListingSource {
  readonly doorkeeper: Doorkeeper;
  /** All that there are, whoever asks. */
  readonly models: Models;
  readonly desk: LeaseDesk;
  readonly clock: Clock;
  readonly heart: Heart;
  /** How long a client that waits hears nothing; null: to the end of the wait. */
  readonly heartbeatMs: number | null;
  readonly lateWork: LateWork;
  readonly madeResponses: MadeResponses;
  readonly bodyLimits: BodyLimits;
  /** How long a request waits to hear that the engine which it could not reach has crashed. */
  readonly crashNoticeMs: number;
  /** How long a client may read nothing of its answer. */
  readonly stallTimeoutMs: number;
  readonly onBug: (error: unknown) => void;
  /** Called once, last of all. */
  readonly onEnded: (request: OpenRequest, record: AccessRecord) => void;
  /** Whether its connection is one too many. */
  readonly isSurplus: (request: HttpRequest) => boolean;
}
