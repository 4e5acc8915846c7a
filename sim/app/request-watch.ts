/** Follows clients' requests from llmux's door to engines and back, and has the rules checked on the way. */
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import { requestIdOf } from "./answers.ts";
import type { ClientEnd } from "./client-connection.ts";
import { ClientRules } from "./client-rules.ts";
import type { SimulatedClient, SimulatedClients } from "./clients.ts";
import { HeartbeatRules } from "./heartbeat-rules.ts";
import { KeyRules } from "./key-rules.ts";
import type { LlmuxLife } from "./llmux-life.ts";
import type { Referee } from "./referee.ts";
import type { AppScenario } from "./scenario.ts";

/** What it has to know. */
export interface WatchedWorld {
  readonly scenario: AppScenario;
  readonly clock: VirtualClock;
  readonly referee: Referee;
  readonly clients: () => SimulatedClients;
  readonly note: (what: string, model: string, id: number) => void;
  isKilled(): boolean;
  mayBeClosed(): boolean;
}

/** How long the gateway waits for the news of a crash, and how often it sends; with some room, in ms. */
const OUTSIDE_SLACK_MS = 60_000;
const SENDINGS_MAX = 4;

/** Over all lives of llmux. */
export class RequestWatch {
  readonly #world: WatchedWorld;
  readonly #clientRules: ClientRules;
  readonly #heartbeatRules: HeartbeatRules;
  readonly #lifeOf = new Map<SimulatedClient, LlmuxLife>();
  #keyRules: KeyRules;

  constructor(world: WatchedWorld) {
    this.#world = world;
    const { scenario, referee } = world;
    const { settings, faults } = scenario;
    const names = new Set(scenario.models.map(({ name }) => name));
    this.#keyRules = new KeyRules(settings.keys, referee);
    this.#clientRules = new ClientRules({
      referee,
      faults,
      keys: () => this.#keyRules,
      isConfigured: (model) => names.has(model),
      isKilled: () => world.isKilled(),
      mayBeClosed: () => world.mayBeClosed(),
      outsideMaxMs: SENDINGS_MAX * settings.requestTimeoutMs + OUTSIDE_SLACK_MS,
    });
    const { timerLagMs, heartbeatMs } = settings;
    this.#heartbeatRules = new HeartbeatRules({ referee, intervalMs: heartbeatMs, timerLagMs });
  }

  /** Another llmux begins, and knows nothing of what was. */
  onNewLife(): void {
    this.#keyRules = new KeyRules(this.#world.scenario.settings.keys, this.#world.referee);
  }

  onAsked(client: SimulatedClient, life: LlmuxLife): void {
    this.#world.note("client asks", client.plan.model, client.plan.id);
    this.#lifeOf.set(client, life);
    this.#keyRules.onAsked(client);
  }

  onBeat(client: SimulatedClient, beat: string): void {
    this.#heartbeatRules.onBeat(client, beat, this.#world.clock.nowMs);
  }

  onFirstByte(client: SimulatedClient): void {
    this.#heartbeatRules.checkSilence(client, this.#world.clock.nowMs);
  }

  onEnded(client: SimulatedClient, end: ClientEnd): void {
    const status = "response" in end && end.response !== null ? ` ${end.response.status}` : "";
    this.#world.note(`client ${end.kind}${status}`, client.plan.model, client.plan.id);
    this.#heartbeatRules.checkSilence(client, this.#world.clock.nowMs);
    this.#clientRules.onEnded(client, end);
  }

  /** Rule "sent again only while nothing was passed on": to one engine at a time, a few times, and never after a byte came. */
  onArrived(id: number): void {
    const client = this.#world.clients().all.get(id);
    if (client === undefined) return;
    this.#heartbeatRules.checkSilence(client, this.#world.clock.nowMs);
    client.arrivals += 1;
    client.arrivedAtMs ??= this.#world.clock.nowMs;
    client.onEngine += 1;
    client.outsideSinceMs = null;
    const demand = (condition: boolean, message: () => string): void =>
      this.#world.referee.demand(condition, "sent again only while nothing was passed on", () => `c${id} ${message()}`);
    demand(client.onEngine === 1, () => `is on ${client.onEngine} engines at once`);
    demand(client.arrivals <= SENDINGS_MAX, () => `was sent ${client.arrivals} times`);
    demand(client.end === null, () => "is sent though it has ended");
    demand(!client.hasBytes, () => "is sent again, and its client has a piece of an answer");
    this.#keyRules.onArrived(client);
  }

  onLeft(id: number): void {
    const client = this.#world.clients().all.get(id);
    if (client === undefined) return;
    client.onEngine -= 1;
    if (client.onEngine === 0) client.outsideSinceMs = this.#world.clock.nowMs;
  }

  /** From time to time: at those who wait for something that may never come. */
  look(): void {
    const { clock, clients } = this.#world;
    for (const client of clients().active) {
      this.#clientRules.checkHanging(client, clock.nowMs);
      this.#heartbeatRules.checkSilence(client, clock.nowMs);
    }
  }

  /** At the end of a life. Those whose llmux was killed have no record. */
  checkRecords(life: LlmuxLife): void {
    for (const client of this.#world.clients().all.values()) {
      if (this.#lifeOf.get(client) !== life) continue;
      this.#clientRules.checkRecord(client, life.books.requests.get(requestIdOf(client.plan)));
    }
  }
}
