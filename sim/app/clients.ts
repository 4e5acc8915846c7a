/** The simulated clients: they send what was planned, go when that was planned, and hand in what they got. */
import { bodyOf, pathOf, requestIdOf } from "./answers.ts";
import { ClientConnection, type ClientEnd } from "./client-connection.ts";
import { takeHeartbeats } from "./heartbeats.ts";
import { secretOf } from "./key-rules.ts";
import type { Network } from "./network.ts";
import type { PlannedClient } from "./scenario.ts";
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";

/** One client and what has become of its request. */
export interface SimulatedClient {
  readonly plan: PlannedClient;
  /** When its request began to go out; null before. */
  askedAtMs: number | null;
  /** When an engine first got it. */
  arrivedAtMs: number | null;
  end: ClientEnd | null;
  endedAtMs: number | null;
  /** How often an engine got its request, and which ones have it now. */
  arrivals: number;
  onEngine: number;
  /** Since when no engine has it; null while one has. */
  outsideSinceMs: number | null;
  /** Whether a byte of an answer's body has come; heartbeats are none. */
  hasBytes: boolean;
  /** How many heartbeats it has heard, when the last one, and how much in that instant. */
  beats: number;
  heardAtMs: number | null;
  heardNowBytes: number;
  /** Others were to be answered first on its connection. */
  isBehind: boolean;
}

/** What a run wants to know. */
export interface ClientNews {
  readonly network: () => Network;
  readonly address: string;
  onAsked(client: SimulatedClient): void;
  onBeat(client: SimulatedClient, beat: string): void;
  /** The first byte that is no heartbeat is coming. */
  onFirstByte(client: SimulatedClient): void;
  onEnded(client: SimulatedClient, end: ClientEnd): void;
}

/** All of a scenario. */
export class SimulatedClients {
  readonly all: ReadonlyMap<number, SimulatedClient>;
  /** Those whose requests are under way. */
  readonly active = new Set<SimulatedClient>();
  readonly #clock: VirtualClock;
  readonly #news: ClientNews;
  readonly #shared = new Map<number, ClientConnection>();
  /** Who waits for the answer before theirs, by connection. */
  readonly #lines = new Map<number, SimulatedClient[]>();
  #ended = 0;

  constructor(plans: readonly PlannedClient[], clock: VirtualClock, news: ClientNews) {
    this.#clock = clock;
    this.#news = news;
    this.all = new Map(plans.map((plan) => [plan.id, newClient(plan)]));
  }

  begin(): void {
    for (const client of this.all.values()) this.#clock.at(client.plan.atMs, () => this.#arrive(client));
  }

  get areDone(): boolean {
    return this.#ended === this.all.size;
  }

  #arrive(client: SimulatedClient): void {
    const { connection, isPipelined } = client.plan;
    if (connection === null) return this.#ask(client, this.#open());
    const shared = this.#shared.get(connection);
    if (shared === undefined || !shared.isOpen) return this.#ask(client, this.#openShared(connection));
    if (shared.asked === 0 || isPipelined) return this.#ask(client, shared);
    this.#lines.set(connection, [...(this.#lines.get(connection) ?? []), client]);
    return undefined;
  }

  #open(): ClientConnection {
    return new ClientConnection(this.#clock, this.#news.network(), this.#news.address);
  }

  #openShared(number: number): ClientConnection {
    const opened = this.#open();
    this.#shared.set(number, opened);
    return opened;
  }

  #ask(client: SimulatedClient, connection: ClientConnection): void {
    const { plan } = client;
    client.askedAtMs = this.#clock.nowMs;
    client.outsideSinceMs = this.#clock.nowMs + plan.sendMs;
    client.isBehind = connection.asked > 0;
    this.active.add(client);
    this.#news.onAsked(client);
    const { leaves, pause } = plan;
    let hasPaused = false;
    const leave = (): void => {
      if (client.end === null) connection.leave(leaves?.inOrder ?? true);
    };
    const asker = {
      onBody: (piece: Buffer, bytes: number): void => {
        if (!client.hasBytes) this.#hear(client, piece);
        if (leaves?.kind === "at byte" && bytes >= leaves.bytes) this.#clock.after(0, leave);
        if (pause === null || hasPaused || bytes < pause.atByte) return;
        hasPaused = true;
        connection.setReading(false);
        if (pause.forMs !== null) this.#clock.after(pause.forMs, () => connection.setReading(true));
      },
      onEnd: (end: ClientEnd): void => this.#onEnd(client, end),
    };
    connection.ask(asker, headOf(plan), partsOf(plan), plan.sendMs);
    if (leaves?.kind === "after") this.#clock.after(leaves.ms, leave);
    if (leaves?.kind === "while sending") this.#clock.after(plan.sendMs / 2, leave);
  }

  /** What is written at once comes at once, so that no heartbeat comes in two pieces. */
  #hear(client: SimulatedClient, piece: Buffer): void {
    const { beats, rest } = takeHeartbeats(piece);
    for (const beat of beats) this.#news.onBeat(client, beat);
    if (rest.length === 0) return;
    this.#news.onFirstByte(client);
    client.hasBytes = true;
  }

  #onEnd(client: SimulatedClient, end: ClientEnd): void {
    client.end = end;
    client.endedAtMs = this.#clock.nowMs;
    this.#ended += 1;
    this.active.delete(client);
    this.#news.onEnded(client, end);
    const { connection } = client.plan;
    const next = connection === null ? undefined : this.#lines.get(connection)?.shift();
    // In an event of its own: this one is in the middle of the server's writing.
    if (next !== undefined) this.#clock.after(0, () => this.#arrive(next));
  }
}

function newClient(plan: PlannedClient): SimulatedClient {
  return {
    plan,
    askedAtMs: null,
    arrivedAtMs: null,
    end: null,
    endedAtMs: null,
    arrivals: 0,
    onEngine: 0,
    outsideSinceMs: null,
    hasBytes: false,
    beats: 0,
    heardAtMs: null,
    heardNowBytes: 0,
    isBehind: false,
  };
}

function headOf(plan: PlannedClient): string {
  const lines = [
    `POST ${pathOf(plan)} HTTP/1.${plan.isHttp10 ? 0 : 1}`,
    "host: llmux",
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(bodyOf(plan))}`,
    `x-request-id: ${requestIdOf(plan)}`,
    ...(plan.key === null ? [] : [keyHeader(plan.key, plan.id)]),
    ...(plan.priority === null ? [] : [`x-llmux-priority: ${plan.priority}`]),
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Both ways are right. */
function keyHeader(key: string, id: number): string {
  return id % 2 === 0 ? `authorization: Bearer ${secretOf(key)}` : `x-api-key: ${secretOf(key)}`;
}

function partsOf(plan: PlannedClient): readonly Buffer[] {
  const body = Buffer.from(bodyOf(plan));
  if (plan.sendMs === 0) return [body];
  const third = Math.ceil(body.length / 3);
  return [body.subarray(0, third), body.subarray(third, 2 * third), body.subarray(2 * third)];
}
