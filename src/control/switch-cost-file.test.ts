/** What is left of the figures after a restart. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { SwitchCostFile } from "./switch-cost-file.ts";

const folder = mkdtempSync(join(tmpdir(), "llmux-costs-"));
const file = join(folder, "state", "switch-costs.json");
const costs = [{ from: "a+b", to: "c", level: 2, costMs: 1234.5 }] as const;

const quiet = (): void => {};

function opened(): { readonly costFile: SwitchCostFile; readonly warnings: unknown[]; readonly ring: () => void } {
  const warnings: unknown[] = [];
  const timers = new Set<() => void>();
  const clock = {
    nowMs: () => 0,
    epochMs: () => 0,
    after: (_delayMs: number, fire: () => void) => {
      timers.add(fire);
      return { cancel: () => void timers.delete(fire) };
    },
  };
  const log = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (_event: string, fields: unknown) => warnings.push(fields),
  };
  const costFile = new SwitchCostFile({ file, clock, log });
  return { costFile, warnings, ring: () => [...timers].forEach((fire) => fire()) };
}

describe("the file of switch costs", () => {
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is empty before the first run, without a word", () => {
    const { costFile, warnings } = opened();
    assert.deepEqual(costFile.read(), []);
    assert.deepEqual(warnings, []);
  });

  it("gives back what was written, and leaves nothing else behind", () => {
    const { costFile, ring } = opened();
    costFile.changed(() => costs);
    assert.deepEqual(opened().costFile.read(), []);
    ring();
    assert.deepEqual(opened().costFile.read(), costs);
    assert.deepEqual(readdirSync(join(folder, "state")), ["switch-costs.json"]);
  });

  it("is written at the end if something has changed since, and only then", () => {
    const { costFile } = opened();
    costFile.flush(() => costs);
    assert.deepEqual(opened().costFile.read(), []);
    costFile.changed(() => costs);
    costFile.flush(() => costs);
    assert.deepEqual(opened().costFile.read(), costs);
  });

  for (const [what, text] of [
    ["cut short", '{"version":1,"costs":[{"from":"a"'],
    ["of another version", '{"version":2,"costs":[]}'],
    ["with figures that make no sense", '{"version":1,"costs":[{"from":"a","to":"b","level":4,"costMs":-1}]}'],
  ] as const) {
    it(`counts as nothing when it is ${what}, which is said`, () => {
      opened().costFile.write(costs);
      writeFileSync(file, text);
      const { costFile, warnings } = opened();
      assert.deepEqual(costFile.read(), []);
      assert.equal(warnings.length, 1);
    });
  }

  it("that cannot be written is said, and no more", () => {
    writeFileSync(folder.replace(/$/, "-file"), "");
    const { warnings } = opened();
    const blocked: unknown[] = [];
    const costFile = new SwitchCostFile({
      file: join(`${folder}-file`, "costs.json"),
      clock: { nowMs: () => 0, epochMs: () => 0, after: () => ({ cancel: quiet }) },
      log: { debug: quiet, info: quiet, error: quiet, warn: (_event, fields) => void blocked.push(fields) },
    });
    costFile.write(costs);
    assert.equal(blocked.length, 1);
    assert.deepEqual(warnings, []);
    rmSync(`${folder}-file`);
  });
});
