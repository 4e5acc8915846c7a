/** Who may open a realtime session, and for which model: what its handshake tells. */
import { failure, type Failure } from "../base/failure.ts";
import type { Priority } from "../core/model.ts";
import type { Guest } from "./doorkeeper.ts";
import type { ExchangeHouse } from "./exchange-house.ts";
import type { RequestHeaders } from "./headers.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { GatewayModel } from "./models.ts";
import { readPriority } from "./priority.ts";
import { modelOf, NO_HOST, TOO_MANY_CONNECTIONS } from "./reception.ts";
import { splitTarget } from "./routes.ts";
import { keyAmong, readHandshake, type Handshake } from "./web-socket-handshake.ts";

/** One who may come in. */
export interface Welcome {
  readonly kind: "welcome";
  readonly guest: Guest;
  readonly handshake: Handshake;
  /** Null: the client is yet to name it. */
  readonly model: GatewayModel | null;
  readonly priority: Priority | undefined;
}

/** One who has to stay outside. */
export interface Unwelcome {
  readonly kind: "unwelcome";
  /** Null for one whom nobody knows. */
  readonly guest: Guest | null;
  readonly reason: Failure;
}

/** Looks at a request for a WebSocket; nothing is counted yet. */
export function welcome(house: ExchangeHouse, request: HttpRequest, headers: RequestHeaders): Welcome | Unwelcome {
  const handshake = readHandshake(request);
  if ("code" in handshake) return unwelcome(handshake);
  if (house.isSurplus(request)) return unwelcome(TOO_MANY_CONNECTIONS);
  if (!headers.hasHost) return unwelcome(NO_HOST);
  const credentials = { bearer: headers.bearer ?? keyAmong(handshake.protocols), apiKey: headers.apiKey };
  const guest = house.doorkeeper.letIn(credentials);
  if (guest === null) return unwelcome(house.doorkeeper.refusal(credentials));
  const priority = readPriority(headers.priority);
  if (typeof priority === "object") return unwelcome(priority, guest);
  const names = new URLSearchParams(splitTarget(request.head.url).query).getAll("model");
  if (names.length > 1) return unwelcome(failure("invalid_request", "`model` is given more than once."), guest);
  const isKnown = names.length === 1 || headers.modelOverride !== null || guest.models.all.length === 1;
  const ask = { model: names[0] ?? null, wantsStream: true };
  const model = isKnown ? modelOf(house, guest, headers, ask) : null;
  if (model !== null && "code" in model) return unwelcome(model, guest);
  return { kind: "welcome", guest, handshake, model, priority: guest.weigh(priority) };
}

function unwelcome(reason: Failure, guest: Guest | null = null): Unwelcome {
  return { kind: "unwelcome", guest, reason };
}
