/** A test in parts that go on from each other: names, times, and what to tell when one fails. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { LlmuxRun } from "./llmux-run.ts";
import type { TestGround } from "./test-ground.ts";

/** How much of an engine's output is told when a part fails. */
const OUTPUT_LENGTH = 4_000;

/** The first part that fails ends the story: the others are skipped. */
export class Story {
  /** Every run of llmux, the last one last. */
  readonly runs: LlmuxRun[] = [];
  readonly #ground: TestGround;
  readonly #notes: string[] = [];
  #isBroken = false;

  constructor(ground: TestGround) {
    this.#ground = ground;
  }

  /** The run that goes on, or the last one. */
  get llmux(): LlmuxRun {
    const last = this.runs.at(-1);
    if (last === undefined) throw new Error("llmux was not started");
    return last;
  }

  /** Whether a part has failed. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** The next part; the reporter tells how long it took. */
  part(name: string, body: () => Promise<void>): void {
    test(name, async (context) => {
      if (this.#isBroken) return context.skip("an earlier part has failed");
      try {
        await body();
      } catch (error) {
        this.#isBroken = true;
        context.diagnostic(this.#all());
        throw error;
      }
    });
  }

  /** Notes how long something took, to be told at the end. */
  note(what: string, ms: number): void {
    this.#notes.push(`${what}: ${(ms / 1000).toFixed(2)} s`);
  }

  /** The last part: tells the notes, and how long each engine took to come awake. */
  end(): void {
    test("how long everything took", (context) => {
      for (const { model, after, took_ms } of this.runs.flatMap((run) => run.all("model awake"))) {
        this.note(`${String(model)} awake after ${String(after)}`, Number(took_ms));
      }
      for (const note of this.#notes) context.diagnostic(note);
    });
  }

  #all(): string {
    const runs = this.runs.map((run, index) => `── run ${index + 1} ──\n${run.story()}`);
    const folder = join(this.#ground.folder, "state", "logs");
    const outputs = (existsSync(folder) ? readdirSync(folder) : []).map(
      (name) => `── ${name} ──\n${readFileSync(join(folder, name), "utf8").slice(-OUTPUT_LENGTH)}`,
    );
    return [...runs, ...outputs].join("\n");
  }
}
