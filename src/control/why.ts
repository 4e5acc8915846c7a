/** In words: why a model is where it is, and what those who wait for it wait for. */
import type { ModelSnapshot, Snapshot, SwitchSnapshot } from "../core/snapshot.ts";
import type { Departure, ModelStory } from "./model-stories.ts";

/** What led to the state that the model is in: "put to sleep to make room for gemma". */
export function whyThere(model: ModelSnapshot, { came, left }: ModelStory): string {
  const { state, sleepLevel, pinned, inFlight, suspended } = model;
  const broughtUp = came === null ? "" : `: ${came.because}`;
  switch (state.kind) {
    case "awake":
      return `brought up${broughtUp}${pinned ? "; it is pinned, so it stays awake" : ""}`;
    case "starting":
    case "waking":
      return `being brought up${broughtUp}`;
    case "draining":
      return `has to leave${reason(left)} when what runs on it has ended (${inFlight} in flight)`;
    case "falling asleep":
      return `being put to sleep${reason(left)}`;
    case "asleep": {
      if (left === null) return came === null ? "asleep from the beginning" : "its wake is tried again with more room";
      // Deeper than the configuration wants it only where there is no room on the host.
      const isDeeper = state.level > sleepLevel && left.kind !== "operator";
      const depth = isDeeper
        ? `, at level ${state.level} since there is no host memory left for level ${sleepLevel}`
        : "";
      const still =
        suspended === 0 ? "" : `; ${suspended === 1 ? "1 request stands" : `${suspended} requests stand`} still in it`;
      return `put to sleep${reason(left)}${depth}${still}`;
    }
    case "stopping":
      return `its engine is being stopped${reason(left)}`;
    case "stopped":
      if (left === null) return "not started yet: nobody has asked for it";
      // One that is meant to sleep is stopped for room only where even a sleeper would be too much.
      return `its engine was stopped${reason(left)}${left.kind === "room" && sleepLevel !== 3 ? ", with no room for it asleep" : ""}`;
    case "failed":
      return `it failed: ${state.failure.message}`;
  }
  return state satisfies never;
}

function reason(left: Departure | null): string {
  if (left === null) return "";
  switch (left.kind) {
    case "room":
      return ` to make room for ${left.for.to}`;
    case "operator":
      return " by an operator";
    case "unused":
      return " since nobody was using it";
    case "given up":
      return ` while it was asleep, ${left.during === null ? "since nobody was using it" : `in the switch to ${left.during.to}`}`;
    case "failed":
      return ` after a failure: ${left.message}`;
  }
  return left satisfies never;
}

/** What keeps those who wait for a model that the policy does not weigh: it is awake, or on its way. `change` is the switch to it. */
export function whatKeeps(model: ModelSnapshot, change: SwitchSnapshot | null, { models }: Snapshot): string | null {
  const { state, inFlight } = model;
  if (state.kind === "awake") return `as many requests run on it as may at once (${inFlight})`;
  if (change === null) return null;
  const victims = models.filter(({ id }) => change.from.includes(id));
  switch (change.phase) {
    case "draining": {
      const running = victims
        .filter((victim) => victim.inFlight > 0)
        .map((victim) => `${victim.inFlight} of ${victim.id}`);
      return `the switch to it is under way: requests that run must end before (${running.join(", ")})`;
    }
    case "evicting": {
      const going = victims.filter(
        ({ state: { kind } }) => kind !== "asleep" && kind !== "stopped" && kind !== "failed",
      );
      const what = going.map((victim) => `${victim.id} is ${victim.state.kind}`).join(", ");
      return `the switch to it is under way${what === "" ? "" : `: ${what}`}`;
    }
    case "waking":
      return `the switch to it is under way: its engine is ${state.kind}`;
  }
  return change.phase satisfies never;
}
