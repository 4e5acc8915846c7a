/** Trouble that these histories have found, each with the smallest scenario that showed it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { quiet } from "./quiet-scenario.ts";
import type { AppScenario } from "./scenario.ts";
import { simulateApp } from "./simulate-app.ts";

const GIB = 1024 ** 3;

test("an app that was killed has no timers left", async () => {
  const scenario = { ...quiet(), end: { kind: "kill", atMs: 100_000 } } as const;
  const model = { ...scenario.models[0], isPreloaded: true } as AppScenario["models"][number];
  const { broken } = await simulateApp({ ...scenario, models: [model], clients: [] });
  assert.equal(broken, null);
});

test("an answer that breaks off while it waits behind another one cuts the connection when it is its turn", async () => {
  const scenario = quiet();
  const [first] = scenario.clients;
  const shared = { ...first, connection: 1, isPipelined: true };
  const clients = [
    { ...shared, pieces: 12, pieceMs: 1_000 },
    { ...shared, id: 2, atMs: 1_005, pieces: 3 },
    { ...shared, id: 3, atMs: 1_010, pieces: 2 },
  ];
  const faults = [{ kind: "request", client: 2, nth: 1, does: "resets in the answer" }] as const;
  const { broken } = await simulateApp({ ...scenario, clients, faults });
  assert.equal(broken, null);
});

test("an answer that is given up because there is no room behind another one cuts the connection when it is its turn", async () => {
  const scenario = quiet();
  const [first] = scenario.clients;
  const shared = { ...first, connection: 1, isPipelined: true };
  const clients = [
    { ...shared, pieces: 12, pieceMs: 20_000 },
    { ...shared, id: 2, atMs: 1_005, pieces: 9, pieceBytes: 50_000 },
    { ...shared, id: 3, atMs: 1_010, pieces: 2 },
  ];
  const { broken } = await simulateApp({ ...scenario, clients });
  assert.equal(broken, null);
});

test("a client of HTTP/1.0 that does not read sees that its answer was cut off", async () => {
  const scenario = quiet();
  const [first] = scenario.clients;
  const slow = { isHttp10: true, pieceBytes: 50_000, pause: { atByte: 1, forMs: 30_000 } };
  const faults = [{ kind: "crash", model: "a", during: "answering", nth: 1, afterMs: 600, how: "all" }] as const;
  const { broken } = await simulateApp({ ...scenario, clients: [{ ...first, ...slow }], faults });
  assert.equal(broken, null);
});

for (const waitsMs of [0, 20_000]) {
  const what = waitsMs === 0 ? "a piece of its answer" : "heartbeats";
  test(`a client of HTTP/1.0 that has got ${what} sees that llmux was killed`, async () => {
    const scenario = quiet();
    const [first] = scenario.clients;
    const [model] = scenario.models;
    assert.ok(model !== undefined);
    const faults = [{ kind: "stall", client: 1, piece: 1, forMs: null }] as const;
    const { broken } = await simulateApp({
      ...scenario,
      models: [{ ...model, startMs: waitsMs + 5_000 }],
      clients: [{ ...first, isHttp10: true }],
      faults,
      end: { kind: "kill", atMs: 20_000 },
    });
    assert.equal(broken, null);
  });
}

test("a client that waits for its stream hears something in each interval, also when its engine breaks", async () => {
  const scenario = quiet();
  const faults = [{ kind: "request", client: 1, nth: 1, does: "refuses the connection" }] as const;
  const { broken } = await simulateApp({ ...scenario, faults });
  assert.equal(broken, null);
});

test("a stream that was promised by a heartbeat does not fall silent while its engine is slow; one that was not, may", async () => {
  const scenario = quiet();
  const [first] = scenario.clients;
  const [model] = scenario.models;
  assert.ok(model !== undefined);
  const slow = { ...first, firstByteMs: 50_000 };
  const { broken } = await simulateApp({
    ...scenario,
    models: [{ ...model, startMs: 20_000 }],
    clients: [slow, { ...slow, id: 2, atMs: 30_000 }],
  });
  assert.equal(broken, null);
});

test("an app whose engine nothing ends has nothing left when it has ended, but the record for the next one", async () => {
  const faults = [
    { kind: "ignores SIGTERM", model: "a", nth: 1 },
    { kind: "hangs in the kernel", model: "a", nth: 1, forMs: 60_000 },
  ] as const;
  const { broken } = await simulateApp({ ...quiet(), faults });
  assert.equal(broken, null);
});

test("a sleeper that leaves more than there is room for, which nobody could know, costs the next one a second try", async () => {
  const scenario = quiet();
  const [client] = scenario.clients;
  const [model] = scenario.models;
  assert.ok(model !== undefined);
  const common = { ...model, sleepLevel: 1, residueBytes: GIB, gpus: null, port: null, tellsNeed: true } as const;
  // Room for the largest one alone, with what two leave behind: the pinned one beside b leaves none for what a leaves behind.
  const models = [
    { ...common, name: "pinned", awakeBytes: 3 * GIB, isPinned: true },
    { ...common, name: "a", awakeBytes: 30 * GIB },
    { ...common, name: "b", awakeBytes: 30 * GIB },
  ];
  const asks = (id: number, name: string) => ({ ...client, id, atMs: 60_000 * id, model: name });
  const clients = [asks(1, "pinned"), asks(2, "a"), asks(3, "b")];
  const settings = { ...scenario.settings, roomFor: 1, tellsGpus: true, hasProbe: true };
  const { broken, lines } = await simulateApp({ ...scenario, settings, models, clients }, { keepLines: true });
  assert.equal(broken, null);
  assert.ok(lines.some((line) => line.includes("without room")));
});
