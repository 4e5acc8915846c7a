/** Makes a failing scenario of the whole app as small as it can: what is left is what the bug needs. */
import type { AppScenario, PlannedClient } from "./scenario.ts";

/** Whether a scenario still fails in the same way. */
export type Fails = (candidate: AppScenario) => Promise<boolean>;

/** Runs that one shrinking may take. */
const TRIES_MAX = 800;

/** The smallest scenario found for which `fails` still holds. */
export async function shrinkApp(scenario: AppScenario, fails: Fails): Promise<AppScenario> {
  const budget = { tries: TRIES_MAX };
  const stillFails: Fails = async (candidate) => {
    budget.tries -= 1;
    return budget.tries >= 0 && fails(candidate);
  };
  let smallest = scenario;
  for (let before: AppScenario | null = null; before !== smallest && budget.tries > 0;) {
    before = smallest;
    for (const pass of PASSES) smallest = await pass(smallest, stillFails);
  }
  return smallest;
}

type Pass = (scenario: AppScenario, fails: Fails) => Promise<AppScenario>;

const PASSES: readonly Pass[] = [
  (scenario, fails) => fewer(scenario, "clients", fails),
  (scenario, fails) => fewer(scenario, "faults", fails),
  (scenario, fails) => fewer(scenario, "visits", fails),
  (scenario, fails) => fewer(scenario, "killedAtMs", fails),
  withoutModels,
  plainer,
];

/** Takes pieces out of a list, at first halves, at last single items. */
async function fewer(
  scenario: AppScenario,
  key: "clients" | "faults" | "visits" | "killedAtMs",
  fails: Fails,
): Promise<AppScenario> {
  let smallest = scenario;
  const length = scenario[key].length;
  for (let size = Math.ceil(length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = smallest[key].length - size; from > -size; from -= size) {
      const list: readonly unknown[] = smallest[key];
      const shorter = list.toSpliced(Math.max(from, 0), size + Math.min(from, 0));
      if (shorter.length === list.length) continue;
      const candidate: AppScenario = { ...smallest, [key]: shorter };
      if (await fails(candidate)) smallest = candidate;
    }
  }
  return smallest;
}

/** Models that nobody asks for. */
async function withoutModels(scenario: AppScenario, fails: Fails): Promise<AppScenario> {
  let smallest = scenario;
  for (const { name } of scenario.models) {
    const candidate: AppScenario = {
      ...smallest,
      models: smallest.models.filter((model) => model.name !== name),
      clients: smallest.clients.filter(({ model }) => model !== name),
      faults: smallest.faults.filter((fault) => !("model" in fault) || fault.model !== name),
      visits: smallest.visits.filter(({ what }) => what.kind !== "order" || what.model !== name),
    };
    if (candidate.models.length > 0 && (await fails(candidate))) smallest = candidate;
  }
  return smallest;
}

/** Less of everything that is not a list. */
async function plainer(scenario: AppScenario, fails: Fails): Promise<AppScenario> {
  let smallest = scenario;
  const attempt = async (change: Partial<AppScenario>): Promise<void> => {
    const candidate = { ...smallest, ...change };
    if (JSON.stringify(candidate) !== JSON.stringify(smallest) && (await fails(candidate))) smallest = candidate;
  };
  await attempt({ end: { kind: "drain", atMs: null } });
  await attempt({ end: { kind: "drain", atMs: smallest.end.atMs } });
  await attempt({ settings: { ...smallest.settings, timerLagMs: 0 } });
  await attempt({ settings: { ...smallest.settings, minActiveMs: 0 } });
  await attempt({ settings: { ...smallest.settings, drainTimeoutMs: null } });
  await attempt({ settings: { ...smallest.settings, policyType: "fifo" } });
  await attempt({ settings: { ...smallest.settings, keys: [] } });
  const change = async (id: number, plain: Partial<PlannedClient>): Promise<void> =>
    attempt({ clients: smallest.clients.map((client) => (client.id === id ? { ...client, ...plain } : client)) });
  for (const { id } of smallest.clients) {
    await change(id, PLAIN_CLIENT);
    for (const [key, value] of Object.entries(PLAIN_CLIENT)) await change(id, { [key]: value });
  }
  return smallest;
}

const PLAIN_CLIENT: Partial<PlannedClient> = {
  form: "whole",
  dialect: "openai",
  pieces: 1,
  pieceBytes: 100,
  isHttp10: false,
  connection: null,
  isPipelined: false,
  sendMs: 0,
  leaves: null,
  pause: null,
};
