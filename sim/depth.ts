/** What the command needs to know of a depth of the simulation. */

/** How one seed ended. */
export interface DepthOutcome {
  /** Null when every rule held. */
  readonly broken: { readonly rule: string; readonly message: string } | null;
  readonly events: number;
  readonly virtualMs: number;
  /** Of what `Depth.counts` says. */
  readonly counted: number;
  readonly fingerprint: string;
  /** What happened, a line each; empty unless asked for. */
  readonly lines: readonly string[];
}

/** How much of llmux is run. */
export interface Depth {
  readonly letter: "a" | "b";
  /** In words. */
  readonly name: string;
  /** What its summary counts besides events. */
  readonly counts: string;
  run(seed: number, keepLines: boolean): Promise<DepthOutcome>;
  /** The smallest scenario found that breaks this rule as the seed's own does, and how it ends. */
  shrink(seed: number, rule: string): Promise<{ readonly scenario: unknown; readonly outcome: DepthOutcome }>;
}
