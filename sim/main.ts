/**
 * The scheduler alone, under virtual time: many seeds, each a scenario of its own, every rule checked after every event.
 * Exit code 1 when a rule breaks; the scenario is then shrunk and shown with the command that replays it.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import type { Scenario } from "./scenario.ts";
import { generateScenario } from "./scenario-generator.ts";
import { shrink } from "./shrink.ts";
import { simulate, type Outcome } from "./simulate.ts";

const USAGE = `usage: node sim/main.ts [--seeds N] [--first N] [--seed N] [--fresh N] [--verbose]
  --seeds N    run this many seeds (1000)
  --first N    from this one on (1)
  --seed N     run one seed, and show what happened with --verbose
  --fresh N    and this many that nobody has chosen, from one that is printed on (0)
  --verbose    a line for each seed, or for each event of one seed`;

/** Failures that are shrunk and shown; more are only counted. */
const SHOWN_MAX = 3;

function main(args: readonly string[]): number {
  const options = readOptions(args);
  if (options === null) {
    console.error(USAGE);
    return 2;
  }
  const { seeds, verbose } = options;
  const total = { events: 0, switches: 0, virtualMs: 0, failed: 0 };
  const startedAtMs = performance.now();
  for (const seed of seeds) {
    const scenario = generateScenario(seed);
    const outcome = simulate(scenario, { keepLines: verbose && seeds.length === 1 });
    total.events += outcome.events;
    total.switches += outcome.switches;
    total.virtualMs += outcome.virtualMs;
    for (const line of outcome.lines) console.log(line);
    if (verbose) console.log(`seed ${seed}: ${outcome.events} events, trace ${outcome.fingerprint}`);
    if (outcome.broken === null) continue;
    total.failed += 1;
    if (total.failed <= SHOWN_MAX) report(seed, scenario, outcome.broken, verbose);
    else console.log(`seed ${seed} FAILED: ${outcome.broken.rule}: ${outcome.broken.message}`);
  }
  const wallMs = performance.now() - startedAtMs;
  const hours = total.virtualMs / 3_600_000;
  const speed = Math.round(total.virtualMs / wallMs);
  console.log(
    `${seeds.length} seeds, ${hours.toFixed(1)} virtual hours, ${total.events} events, ${total.switches} switches in ` +
      `${(wallMs / 1000).toFixed(2)} s: ${speed.toLocaleString("en")} x real time`,
  );
  console.log(`${seeds.length - total.failed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
}

function report(seed: number, scenario: Scenario, broken: NonNullable<Outcome["broken"]>, verbose: boolean): void {
  console.log(`seed ${seed} FAILED: ${broken.rule}: ${broken.message}`);
  const smallest = shrink(scenario, (candidate) => simulate(candidate).broken?.rule === broken.rule);
  const outcome = simulate(smallest, { keepLines: true });
  console.log(`  the smallest scenario found that breaks this rule: ${outcome.broken?.message}`);
  if (verbose) console.log(JSON.stringify(smallest, null, 1));
  for (const line of outcome.lines) console.log(`  ${line}`);
  console.log(`  replay: node sim/main.ts --seed ${seed} --verbose`);
}

function readOptions(args: readonly string[]): { seeds: readonly number[]; verbose: boolean } | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string", default: "1000" },
        first: { type: "string", default: "1" },
        seed: { type: "string" },
        fresh: { type: "string", default: "0" },
        verbose: { type: "boolean", default: false },
      },
    });
    if (values.seed !== undefined) return { seeds: [whole(values.seed)], verbose: values.verbose };
    const seeds = [...row(whole(values.first), whole(values.seeds)), ...freshSeeds(whole(values.fresh))];
    return { seeds, verbose: values.verbose };
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return null;
  }
}

function freshSeeds(count: number): number[] {
  if (count === 0) return [];
  const first = randomInt(1, 2 ** 31);
  console.log(`${count} fresh seeds, the first of them ${first}`);
  return row(first, count);
}

function row(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`"${text}" is not a whole number`);
  return value;
}

process.exitCode = main(process.argv.slice(2));
