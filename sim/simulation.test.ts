/** The simulation keeps its promises: every seed passes, the same seed replays, a failure shrinks. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { BUGS_IN_HEARING } from "./bugs-in-hearing.ts";
import { generateScenario } from "./scenario-generator.ts";
import type { Scenario } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { simulate, type Outcome } from "./simulate.ts";

const SEEDS = Array.from({ length: 150 }, (_, index) => index + 1);

describe("the simulation", () => {
  it("passes every rule for the first 150 seeds", () => {
    const broken = SEEDS.map((seed) => ({ seed, broken: simulate(generateScenario(seed)).broken }));
    assert.deepEqual(
      broken.filter((outcome) => outcome.broken !== null),
      [],
    );
  });

  it("does the same at the same times when it runs a seed again", () => {
    for (const seed of SEEDS.slice(0, 30)) {
      const first = simulate(generateScenario(seed), { keepLines: true });
      const second = simulate(generateScenario(seed), { keepLines: true });
      assert.deepEqual(second, first);
      assert.match(first.fingerprint, /^[0-9a-f]{16}$/);
    }
  });

  it("does something else for every other seed", () => {
    const fingerprints = new Set(SEEDS.map((seed) => simulate(generateScenario(seed)).fingerprint));
    assert.equal(fingerprints.size, SEEDS.length);
  });

  it("meets every kind of trouble in the seeds of the tests", () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      for (const line of simulate(generateScenario(seed), { keepLines: true }).lines) seen.add(kindOf(line));
    }
    for (const kind of EXPECTED) assert.ok(seen.has(kind), `"${kind}" never happens; seen: ${[...seen].join(", ")}`);
  });
});

describe("a failing scenario", () => {
  const makeBug = BUGS_IN_HEARING["drops a release"];
  assert.ok(makeBug !== undefined);
  const run = (scenario: Scenario): Outcome => simulate(scenario, { mutation: makeBug().mutation });

  it("shrinks to what its bug needs", () => {
    const scenario = SEEDS.map(generateScenario).find((candidate) => run(candidate).broken?.rule === "drain ends");
    assert.ok(scenario !== undefined);
    const smallest = shrink(scenario, (candidate) => run(candidate).broken?.rule === "drain ends");
    assert.equal(run(smallest).broken?.rule, "drain ends");
    assert.ok(smallest.requests.length <= 8, `${smallest.requests.length} requests are left`);
    assert.ok(smallest.models.length <= 2, `${smallest.models.length} models are left`);
    assert.equal(smallest.faults.length, 0);
  });
});

describe("the command", () => {
  it("ends with how many seeds passed, and with exit code 0 when all did", () => {
    const { status, lines } = runMain("--depth", "a", "--seeds", "20", "--first", "5");
    assert.equal(status, 0);
    assert.equal(lines.at(-1), "20 passed, 0 failed");
    assert.match(
      lines.at(-2) ?? "",
      /^20 seeds, [\d.]+ virtual hours, \d+ events, \d+ switches in [\d.]+ s: [\d,]+ x real time$/,
    );
  });

  it("shows every event of one seed when asked to", () => {
    const { lines } = runMain("--depth", "a", "--seed", "7", "--verbose");
    assert.ok(lines.some((line) => /^ +[\d.]+ s {2}→ grant [a-h] #\d+$/.test(line)));
    assert.equal(lines.at(-1), "1 passed, 0 failed");
  });

  it("runs both depths unless told which, the whole app with a share of the seeds", () => {
    const { status, lines } = runMain("--seeds", "5");
    assert.equal(status, 0);
    assert.match(lines.at(-3) ?? "", /^5 seeds, .* switches in /);
    assert.match(lines.at(-2) ?? "", /^2 seeds, .* requests in /);
    assert.equal(lines.at(-1), "7 passed, 0 failed");
  });

  it("refuses what it does not know with exit code 2", () => {
    assert.equal(runMain("--sedes", "3").status, 2);
    assert.equal(runMain("--seeds", "many").status, 2);
    assert.equal(runMain("--depth", "c").status, 2);
  });
});

function runMain(...args: readonly string[]): { status: number | null; lines: readonly string[] } {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
  return { status, lines: stdout.trimEnd().split("\n") };
}

const EXPECTED = [
  "request",
  "→ start",
  "→ wake",
  "→ sleep",
  "→ stop",
  "→ grant",
  "→ refuse (queue_timeout)",
  "→ refuse (wake_failed)",
  "→ refuse (start_failed)",
  "→ refuse (engine_crashed)",
  "→ refuse (shutting_down)",
  "→ refuse (stopped_by_operator)",
  "→ revoke (drain_timeout)",
  "→ revoke (engine_crashed)",
  "→ revoke (shutting_down)",
  "→ finished",
  "alarm",
  "awake",
  "asleep",
  "wake failed",
  "sleep failed",
  "stop failed",
  "stopped",
  "died",
  "crashed",
  "client gone",
  "released (served)",
  "released (failed)",
  "released (abandoned)",
  "operator: sleep",
  "operator: stop",
  "shutdown",
];

/** "   12.000 s  → grant a #7" is a "→ grant". */
function kindOf(line: string): string {
  return line
    .replace(/^ *[\d.]+ s {2}/, "")
    .replace(/ #\d+$/, "")
    .replace(/ [a-h]?$/, "");
}
