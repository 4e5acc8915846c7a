/** The scenario that those begin with who want one thing to happen. */
import { assert } from "../../src/base/assert.ts";
import { generateAppScenario } from "./scenario-generator.ts";
import type { AppScenario, PlannedClient } from "./scenario.ts";

/** One model on one GPU and one client that wants a stream; nothing goes wrong by itself. */
export function quiet(): AppScenario & { readonly clients: readonly [PlannedClient, ...PlannedClient[]] } {
  const { settings, models, clients, ...rest } = generateAppScenario(1);
  const [model, client] = [models[0], clients[0]];
  assert(model !== undefined && client !== undefined, "the first seed has models and clients");
  const plain = {
    form: "stream",
    dialect: "openai",
    firstByteMs: 10,
    pieceBytes: 40,
    pieceMs: 100,
    isHttp10: false,
    connection: null,
    isPipelined: false,
    sendMs: 0,
    leaves: null,
    pause: null,
    key: null,
  } as const;
  return {
    ...rest,
    settings: {
      ...settings,
      keys: [],
      heartbeatMs: 15_000,
      policyType: "fifo",
      requestTimeoutMs: 60_000,
      drainTimeoutMs: null,
      drainBudgetMs: null,
    },
    models: [{ ...model, name: "a", isPreloaded: false, isPinned: false }],
    clients: [{ ...client, ...plain, id: 1, atMs: 1_000, model: "a", pieces: 8 }],
    visits: [],
    faults: [],
    killedAtMs: [],
    end: { kind: "drain", atMs: null },
  };
}
