/**
 * llmux under virtual time: many seeds, each a scenario of its own, every rule checked after every event. At depth A the
 * scheduler alone, at depth B the whole app in a simulated machine. Exit code 1 when a rule breaks; the scenario is then
 * shrunk and shown with the command that replays it.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import type { Depth } from "./depth.ts";
import { SCHEDULER_ALONE } from "./depth-a.ts";
import { WHOLE_APP } from "./depth-b.ts";

const USAGE = `usage: node sim/main.ts [--depth a|b|both] [--seeds N] [--first N] [--seed N] [--fresh N] [--verbose]
  --depth D    a: the scheduler alone, b: the whole app, both: one after the other (both)
  --seeds N    run this many seeds (1000); of the whole app, where both are run, four tenths of them
  --first N    from this one on (1)
  --seed N     run one seed, and show what happened with --verbose
  --fresh N    and this many that nobody has chosen, from one that is printed on (0)
  --verbose    a line for each seed, or for each event of one seed`;

const DEPTHS = { a: [SCHEDULER_ALONE], b: [WHOLE_APP], both: [SCHEDULER_ALONE, WHOLE_APP] } as const;

/** A seed of the whole app takes some twenty times as long as one of the scheduler. */
const SHARE_OF_WHOLE_APP = 0.4;

/** Failures that are shrunk and shown; more are only counted. */
const SHOWN_MAX = 3;

interface Options {
  readonly depths: readonly Depth[];
  readonly seeds: readonly number[];
  readonly freshSeeds: readonly number[];
  readonly verbose: boolean;
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === null) {
    console.error(USAGE);
    return 2;
  }
  const { depths, seeds, freshSeeds, verbose } = options;
  if (freshSeeds[0] !== undefined) console.log(`${freshSeeds.length} fresh seeds, the first of them ${freshSeeds[0]}`);
  let [passed, failed] = [0, 0];
  for (const depth of depths) {
    const share = depth === WHOLE_APP && depths.length > 1 && seeds.length > 1 ? SHARE_OF_WHOLE_APP : 1;
    const own = [...firstOf(seeds, share), ...firstOf(freshSeeds, share)];
    const failures = await runSeeds(depth, own, verbose);
    failed += failures;
    passed += own.length - failures;
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function firstOf(seeds: readonly number[], share: number): readonly number[] {
  return seeds.slice(0, Math.ceil(share * seeds.length));
}

/** Resolves with how many failed. */
async function runSeeds(depth: Depth, seeds: readonly number[], verbose: boolean): Promise<number> {
  const total = { events: 0, virtualMs: 0, counted: 0, failed: 0 };
  const startedAtMs = performance.now();
  for (const seed of seeds) {
    const outcome = await depth.run(seed, verbose && seeds.length === 1);
    total.events += outcome.events;
    total.counted += outcome.counted;
    total.virtualMs += outcome.virtualMs;
    for (const line of outcome.lines) console.log(line);
    if (verbose) console.log(`seed ${seed}: ${outcome.events} events, trace ${outcome.fingerprint}`);
    if (outcome.broken === null) continue;
    total.failed += 1;
    console.log(`seed ${seed} FAILED (${depth.name}): ${outcome.broken.rule}: ${outcome.broken.message}`);
    if (total.failed <= SHOWN_MAX) await report(depth, seed, outcome.broken.rule, verbose);
  }
  const wallMs = performance.now() - startedAtMs;
  const hours = total.virtualMs / 3_600_000;
  const speed = Math.round(total.virtualMs / wallMs);
  console.log(
    `${seeds.length} seeds, ${hours.toFixed(1)} virtual hours, ${total.events} events, ${total.counted} ${depth.counts} in ` +
      `${(wallMs / 1000).toFixed(2)} s: ${speed.toLocaleString("en")} x real time`,
  );
  return total.failed;
}

async function report(depth: Depth, seed: number, rule: string, verbose: boolean): Promise<void> {
  const { scenario, outcome } = await depth.shrink(seed, rule);
  console.log(`  the smallest scenario found that breaks this rule: ${outcome.broken?.message}`);
  if (verbose) console.log(JSON.stringify(scenario, null, 1));
  for (const line of outcome.lines) console.log(`  ${line}`);
  console.log(`  replay: node sim/main.ts --depth ${depth.letter} --seed ${seed} --verbose`);
}

function readOptions(args: readonly string[]): Options | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        depth: { type: "string", default: "both" },
        seeds: { type: "string", default: "1000" },
        first: { type: "string", default: "1" },
        seed: { type: "string" },
        fresh: { type: "string", default: "0" },
        verbose: { type: "boolean", default: false },
      },
    });
    const { depth, verbose } = values;
    if (depth !== "a" && depth !== "b" && depth !== "both") throw new Error(`"${depth}" is no depth`);
    const depths = DEPTHS[depth];
    if (values.seed !== undefined) return { depths, seeds: [whole(values.seed)], freshSeeds: [], verbose };
    const seeds = row(whole(values.first), whole(values.seeds));
    const fresh = whole(values.fresh);
    return { depths, seeds, freshSeeds: fresh === 0 ? [] : row(randomInt(1, 2 ** 31), fresh), verbose };
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return null;
  }
}

function row(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`"${text}" is not a whole number`);
  return value;
}

process.exitCode = await main(process.argv.slice(2));
