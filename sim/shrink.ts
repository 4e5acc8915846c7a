/** Makes a failing scenario as small as it can: what is left is what the bug needs. */
import type { Scenario, SimulatedModel } from "./scenario.ts";

/** Runs of the simulation that one shrinking may take. */
const TRIES_MAX = 3000;

/** The smallest scenario found for which `fails` still holds. */
export function shrink(scenario: Scenario, fails: (candidate: Scenario) => boolean): Scenario {
  const budget = { tries: TRIES_MAX };
  const stillFails = (candidate: Scenario): boolean => {
    budget.tries -= 1;
    return budget.tries >= 0 && fails(candidate);
  };
  let smallest = scenario;
  for (let before: Scenario | null = null; before !== smallest && budget.tries > 0;) {
    before = smallest;
    for (const pass of PASSES) smallest = pass(smallest, stillFails);
  }
  return smallest;
}

type Pass = (scenario: Scenario, fails: (candidate: Scenario) => boolean) => Scenario;

const PASSES: readonly Pass[] = [
  withoutModels,
  (scenario, fails) => fewer(scenario.requests, (requests) => ({ ...scenario, requests }), scenario, fails),
  (scenario, fails) => fewer(scenario.faults, (faults) => ({ ...scenario, faults }), scenario, fails),
  (scenario, fails) => fewer(scenario.commands, (commands) => ({ ...scenario, commands }), scenario, fails),
  (scenario, fails) =>
    fewer(scenario.needlessAlarmsAtMs, (needlessAlarmsAtMs) => ({ ...scenario, needlessAlarmsAtMs }), scenario, fails),
  plainer,
];

function withoutModels(scenario: Scenario, fails: (candidate: Scenario) => boolean): Scenario {
  let smallest = scenario;
  for (const { spec } of scenario.models) {
    const isOther = ({ model }: { readonly model: string }): boolean => model !== spec.id;
    const candidate: Scenario = {
      ...smallest,
      models: smallest.models.filter((model) => model.spec.id !== spec.id),
      requests: smallest.requests.filter(isOther),
      faults: smallest.faults.filter(isOther),
      commands: smallest.commands.filter(isOther),
    };
    if (candidate.models.length > 0 && fails(candidate)) smallest = candidate;
  }
  return smallest;
}

/** Takes pieces out of a list, at first halves, at last single items. */
function fewer<T>(
  list: readonly T[],
  withList: (list: readonly T[]) => Scenario,
  scenario: Scenario,
  fails: (candidate: Scenario) => boolean,
): Scenario {
  let left = list;
  let smallest = scenario;
  for (let size = Math.ceil(list.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = left.length - size; from > -size; from -= size) {
      const shorter = left.toSpliced(Math.max(from, 0), size + Math.min(from, 0));
      if (shorter.length === left.length || !fails(withList(shorter))) continue;
      left = shorter;
      smallest = withList(left);
    }
  }
  return smallest;
}

/** Less of everything that is not a list. */
function plainer(scenario: Scenario, fails: (candidate: Scenario) => boolean): Scenario {
  let smallest = scenario;
  const attempt = (change: Partial<Scenario>): void => {
    const candidate = { ...smallest, ...change };
    if (JSON.stringify(candidate) !== JSON.stringify(smallest) && fails(candidate)) smallest = candidate;
  };
  const firstMs = Math.min(...smallest.requests.map(({ atMs }) => atMs));
  if (smallest.shutdown.atMs === null && firstMs > 0 && smallest.commands.length === 0) {
    attempt({ requests: smallest.requests.map((request) => ({ ...request, atMs: request.atMs - firstMs })) });
  }
  attempt({ shutdown: { atMs: null, timeoutMs: 0 } });
  attempt({ shutdown: { ...smallest.shutdown, timeoutMs: 0 } });
  attempt({ alarmLagMs: 0 });
  attempt({ minActiveMs: 0 });
  attempt({ drainTimeoutMs: null });
  attempt({ budgets: null, models: smallest.models.map(withoutMemory) });
  attempt({ requests: smallest.requests.map((request) => ({ ...request, patienceMs: null })) });
  attempt({ requests: smallest.requests.map((request) => ({ ...request, outcome: "served" as const })) });
  for (const { id } of smallest.requests) {
    attempt({
      requests: smallest.requests.map((request) => (request.id === id ? { ...request, holdMs: 0 } : request)),
    });
    attempt({
      requests: smallest.requests.map((request) => (request.id === id ? { ...request, patienceMs: null } : request)),
    });
  }
  return smallest;
}

function withoutMemory(model: SimulatedModel): SimulatedModel {
  const { id, devices, sleepLevel } = model.spec;
  return { ...model, spec: { id, devices, sleepLevel } };
}
