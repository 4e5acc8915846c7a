/** How long requests take in an engine, against figures worked out by hand. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EngineModel, type Job } from "./engine-model.ts";
import { VirtualClock } from "./virtual-clock.ts";

interface Timed extends Job {
  readonly name: string;
}

/** 10 ms a token alone, 1000 tokens of a prompt a second. */
class Bench {
  readonly clock = new VirtualClock(null);
  /** "a first 100", "a end 190", in the order in which it happened; times in ms. */
  readonly told: string[] = [];
  readonly engine = new EngineModel<Timed>({ itlMs: 10, prefillTokensPerSecond: 1000 }, this.clock, {
    onFirstToken: ({ name }) => this.#tell(name, "first"),
    onEnd: ({ name }) => this.#tell(name, "end"),
  });

  at(atMs: number, run: () => void): void {
    this.clock.at(atMs, run);
  }

  job(name: string, promptTokens: number, outputTokens: number): Timed {
    return { name, promptTokens, outputTokens, state: "waiting", endsAtWork: 0 };
  }

  submit(atMs: number, name: string, promptTokens: number, outputTokens: number): Timed {
    const job = this.job(name, promptTokens, outputTokens);
    this.at(atMs, () => this.engine.submit(job));
    return job;
  }

  run(): readonly string[] {
    while (this.clock.step());
    return this.told;
  }

  #tell(name: string, what: string): void {
    this.told.push(`${name} ${what} ${Math.round(this.clock.nowMs * 1e6) / 1e6}`);
  }
}

/** The time between two tokens, in ms, when so many decode. */
const itlMs = (count: number): number => 10 * (1 + (count - 1) / 63);

const rounded = (ms: number): number => Math.round(ms * 1e6) / 1e6;

describe("an engine", () => {
  it("gives one request its first token at the end of the prefill, and each further one after the inter-token time", () => {
    const bench = new Bench();
    bench.submit(5, "a", 100, 10);
    assert.deepEqual(bench.run(), ["a first 105", "a end 195"]);
  });

  it("ends an answer of one token, or of none, with the prefill", () => {
    const bench = new Bench();
    bench.submit(0, "a", 100, 1);
    bench.submit(0, "b", 0, 0);
    assert.deepEqual(bench.run(), ["a first 100", "a end 100", "b first 100", "b end 100"]);
  });

  it("reads prompts one after another, slows decoding to 0.6 meanwhile, and shares it among those that run", () => {
    const bench = new Bench();
    bench.submit(0, "a", 100, 101);
    bench.submit(200, "b", 300, 11);
    // a decodes alone from 100: 10 tokens until 200. Until 500, at 0.6: 18 more. Then both, 10 tokens each, and a's last 62 alone.
    const bothMs = 10 * itlMs(2);
    const told = [
      "a first 100",
      "b first 500",
      `b end ${rounded(500 + bothMs)}`,
      `a end ${rounded(500 + bothMs + 620)}`,
    ];
    assert.deepEqual(bench.run(), told);
  });

  it("lets the 65th wait until one of the 64 has ended", () => {
    const bench = new Bench();
    for (let number = 1; number <= 64; number += 1) bench.submit(0, `r${number}`, 0, number === 64 ? 11 : 21);
    bench.submit(0, "late", 100, 1);
    let most = 0;
    bench.at(50, () => {
      most = bench.engine.running;
    });
    const told = bench.run();
    const firstEndMs = rounded(10 * itlMs(64));
    assert.equal(most, 64);
    assert.equal(
      told.find((line) => line.includes("end")),
      `r64 end ${firstEndMs}`,
    );
    assert.ok(told.includes(`late first ${rounded(firstEndMs + 100)}`), told.join("\n"));
  });

  it("cuts prompts at 16,000 tokens and answers at 2,048", () => {
    const bench = new Bench();
    bench.submit(0, "a", 1_000_000, 1_000_000);
    assert.deepEqual(bench.run(), ["a first 16000", "a end 36470"]);
  });

  it("tells nothing of a request that is ended early, and gives its place to the next", () => {
    const bench = new Bench();
    const reading = bench.submit(0, "reading", 1000, 5);
    const waiting = bench.submit(0, "waiting", 10, 5);
    bench.submit(0, "last", 10, 11);
    bench.at(500, () => bench.engine.abort(waiting));
    bench.at(600, () => bench.engine.abort(reading));
    assert.deepEqual(bench.run(), ["last first 610", "last end 710"]);
  });

  it("speeds up for the others when one that decodes is ended early", () => {
    const bench = new Bench();
    const gone = bench.submit(0, "gone", 0, 1000);
    bench.submit(0, "stays", 0, 21);
    const halfMs = 10 * itlMs(2);
    bench.at(halfMs, () => bench.engine.abort(gone));
    assert.deepEqual(bench.run(), ["gone first 0", "stays first 0", `stays end ${rounded(halfMs + 100)}`]);
  });

  it("stands still while it is frozen, and reads all that it had before it goes on where it was", () => {
    const bench = new Bench();
    bench.submit(0, "a", 100, 13);
    bench.submit(0, "b", 100, 1);
    bench.at(150, () => bench.engine.freeze());
    bench.at(1150, () => bench.engine.thaw());
    // At 150 a had 4 tokens, and b's prompt was half read. Reading 104 tokens gives a its fifth at 1254; 6 more are out when b's
    // prompt is read, and the last 2 take 20 ms alone.
    assert.deepEqual(bench.run(), ["a first 100", "b first 1354", "b end 1354", "a end 1374"]);
  });

  it("does not wait for those that were ended while it was frozen, and lets the frozen in before those that came later", () => {
    const bench = new Bench();
    const gone = bench.submit(0, "gone", 100, 100);
    bench.submit(0, "a", 100, 100);
    bench.at(300, () => bench.engine.freeze());
    bench.submit(400, "late", 100, 1);
    bench.at(500, () => bench.engine.abort(gone));
    bench.at(1000, () => bench.engine.thaw());
    // By 300 a had its first token and 9 more, one each 10.16 ms: 110 tokens are read again.
    assert.deepEqual(bench.run().slice(0, 3), ["gone first 100", "a first 200", "late first 1210"]);
  });
});
