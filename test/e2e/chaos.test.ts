/** Everything at once: three models, impatient clients, and engines that are killed at random moments. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { dice } from "./support/dice.ts";
import { markedProcesses } from "./support/marked-processes.ts";
import { readParent } from "./support/parent-of.ts";
import { scenario } from "./support/scenario.ts";
import type { Stage } from "./support/stage.ts";

const LASTS_MS = 10_000;
const NAMES = ["a", "b", "c"] as const;

/** Of what is refused, the client is told that it is for now. 499 and the like never reach a client. */
const EXPECTED: ReadonlySet<number> = new Set([200, 502, 503, 504]);

/** Kills an engine, or one of its processes, if there is one at this moment. */
async function killSomebody(stage: Stage, roll: (below: number) => number): Promise<void> {
  const { pid } = await stage.model(NAMES[roll(3)] ?? "a");
  if (pid === null) return;
  const core = markedProcesses(stage.marker).find((one) => readParent(one) === pid) ?? pid;
  try {
    process.kill([-pid, pid, core][roll(3)] ?? pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

const settings = { ttft_ms: 5, itl_ms: 2, load_ms: 100, sleep_ms: 20, wake_ms: 20, dead_ms: 50 };

scenario(
  "clients of three models whose engines are killed again and again get answers or are told why not, and all is well after",
  {
    models: { a: { mock: settings }, b: { mock: settings, sleep_level: 2 }, c: { mock: settings, sleep_level: 3 } },
    policy: { request_timeout_secs: 10, drain_timeout_secs: 2 },
    engine_timeouts: { sleep_timeout_secs: 3, wake_timeout_secs: 3, reload_timeout_secs: 3 },
  },
  async (stage) => {
    const first = new Map<string, string>();
    for (const name of NAMES) first.set(name, (await stage.client.ask(name)).text);
    const endAtMs = performance.now() + LASTS_MS;
    const statuses = new Map<number, number>();
    let left = 0;
    const client = async (seed: number): Promise<void> => {
      const roll = dice(seed);
      while (performance.now() < endAtMs) {
        const name = NAMES[roll(3)] ?? "a";
        if (roll(4) === 0) {
          const leaving = AbortSignal.timeout(roll(300));
          await stage.client.ask(name, { tokens: 30 }, leaving).catch(() => (left += 1));
        } else {
          const reply = await stage.client.ask(name);
          statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
          if (reply.status === 200) assert.equal(reply.text, first.get(name), `an answer for ${name}`);
          else await pause(50);
        }
      }
    };
    const killer = async (): Promise<void> => {
      const roll = dice(51);
      while (performance.now() < endAtMs) {
        await pause(100 + roll(600));
        await killSomebody(stage, roll);
      }
    };
    await Promise.all([killer(), ...[1, 2, 3, 4, 5, 6].map(client)]);
    for (const status of statuses.keys()) assert.ok(EXPECTED.has(status), `status ${status}`);
    assert.ok((statuses.get(200) ?? 0) > 0);
    assert.ok(stage.log.all("engine crashed").length > 0);
    for (const name of NAMES) {
      const { retry_in_s: waitS } = await stage.model(name);
      if (waitS !== null) await pause(waitS * 1_000);
      const reply = await stage.client.ask(name);
      assert.equal(reply.text, first.get(name), `${name}: ${reply.error?.message}`);
    }
    for (const { id, in_flight: inFlight, waiting } of (await stage.status()).models) {
      assert.deepEqual([inFlight, waiting], [0, 0], `${id} has forgotten somebody`);
    }
  },
);
