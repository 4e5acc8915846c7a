/** What goes wrong, and when it is its turn: faults are told by the how-manieth time something happens. */
import type { AppFault, CallFault, ControlCall, CrashState, RequestFault } from "./scenario.ts";

/** A fault of one kind. */
export type FaultOf<Kind extends AppFault["kind"]> = Extract<AppFault, { kind: Kind }>;

/** Each question counts: it is to be asked once, when the thing happens. */
export class FaultBook {
  readonly #faults: readonly AppFault[];
  readonly #counts = new Map<string, number>();

  constructor(faults: readonly AppFault[]) {
    this.#faults = faults;
  }

  /** One more process of this model is about to be started. */
  atSpawn(model: string): {
    readonly fails: boolean;
    readonly start: FaultOf<"start">["does"] | null;
    readonly ignoresSigterm: boolean;
    readonly hangsMs: number;
  } {
    const nth = this.#count(`spawn ${model}`);
    const found = this.#faults.filter((fault) => "model" in fault && fault.model === model && fault.nth === nth);
    const ofKind = <Kind extends AppFault["kind"]>(kind: Kind): FaultOf<Kind> | undefined =>
      found.find((fault): fault is FaultOf<Kind> => fault.kind === kind);
    return {
      fails: ofKind("spawn fails") !== undefined,
      start: ofKind("start")?.does ?? null,
      ignoresSigterm: ofKind("ignores SIGTERM") !== undefined,
      hangsMs: ofKind("hangs in the kernel")?.forMs ?? 0,
    };
  }

  /** One more port is claimed for this model. */
  isPortTaken(model: string): boolean {
    const nth = this.#count(`port ${model}`);
    return this.#faults.some((fault) => fault.kind === "port taken" && fault.model === model && fault.nth === nth);
  }

  /** One more call of this kind has come. */
  ofCall(model: string, call: ControlCall): CallFault | null {
    const nth = this.#count(`${call} ${model}`);
    for (const fault of this.#faults) {
      if (fault.kind === "call" && fault.model === model && fault.call === call && fault.nth === nth) return fault.does;
    }
    return null;
  }

  /** The engine is in this state once more. */
  crashesIn(model: string, during: CrashState): readonly FaultOf<"crash">[] {
    const nth = this.#count(`${during} ${model}`);
    return this.#faults.filter(
      (fault): fault is FaultOf<"crash"> =>
        fault.kind === "crash" && fault.model === model && fault.during === during && fault.nth === nth,
    );
  }

  /** This client's request has come once more. */
  ofRequest(client: number): RequestFault | null {
    const nth = this.#count(`request ${client}`);
    for (const fault of this.#faults) {
      if (fault.kind === "request" && fault.client === client && fault.nth === nth) return fault.does;
    }
    return null;
  }

  /** How long the answer to this client stands still before this piece: 0 as a rule, null for ever. */
  stallMs(client: number, piece: number): number | null {
    const stall = this.#faults.find(
      (fault) => fault.kind === "stall" && fault.client === client && fault.piece === piece,
    );
    return stall?.kind === "stall" ? stall.forMs : 0;
  }

  #count(what: string): number {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    return count;
  }
}
