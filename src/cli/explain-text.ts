/** An explanation as people read it. */
import { duration } from "../control/duration-text.ts";
import type { ExplanationDocument, ModelExplanation, SwitchExplanation } from "../control/explanation.ts";
import { wrapped } from "./wrapped.ts";

/** A paragraph: how far it is set in, and what it says. */
interface Line {
  readonly indent: number;
  readonly text: string;
}

/** `model`: the one that was asked about; null: all. `width` is that of the terminal, null where there is none. */
export function renderExplanation(document: ExplanationDocument, model: string | null, width: number | null): string {
  const lines = [...(model === null ? overview(document) : document.models.flatMap((one) => portrait(one, document)))];
  lines.push(...switchLines(document, model));
  return lines
    .map(({ indent, text }) => (text === "" ? "\n" : `${wrapped(text, width, { first: indent, rest: indent + 2 })}\n`))
    .join("");
}

function overview({ models, waiting }: ExplanationDocument): readonly Line[] {
  const awake = models.filter(({ state }) => state === "awake");
  const inOrder = waiting.flatMap((id) => models.filter((model) => model.id === id));
  return [
    { indent: 0, text: awake.length === 0 ? "No model is awake." : "Awake:" },
    ...awake.flatMap(awakeModel),
    { indent: 0, text: "" },
    { indent: 0, text: inOrder.length === 0 ? "Nobody waits for another model." : "Waiting, the next turn first:" },
    ...inOrder.flatMap(waitingModel),
  ];
}

function awakeModel(model: ModelExplanation): readonly Line[] {
  const head = `${model.id} for ${since(model)}, ${model.in_flight} in flight${queue(model)}`;
  return [{ indent: 2, text: head }, ...reasons(model, 4)];
}

/** Not why it is away: that others wait is the news. */
function waitingModel(model: ModelExplanation): readonly Line[] {
  const head = `${model.id}, ${stateOf(model)} for ${since(model)}${queue(model)}`;
  return [{ indent: 2, text: head }, ...reasons(model, 4).slice(1)];
}

/** One model, whether or not anybody waits for it. */
function portrait(model: ModelExplanation, { request_timeout_s }: ExplanationDocument): readonly Line[] {
  const inFlight = model.in_flight === model.suspended ? "" : `, ${model.in_flight} in flight`;
  const nobody = model.waiting === 0 && model.suspended === 0 ? ", nobody waits for it" : "";
  const timeout = duration(request_timeout_s * 1000);
  const { wait_bound_s } = model;
  const bound =
    wait_bound_s === null
      ? `there is no bound on waiting: a request that has waited ${timeout} gets 504`
      : wait_bound_s <= request_timeout_s
        ? `a request that comes now waits at most ${duration(wait_bound_s * 1000)}, while nothing fails`
        : `a request that has waited ${timeout} gets 504; it would wait at most ${duration(wait_bound_s * 1000)}`;
  return [
    { indent: 0, text: `${model.id}: ${stateOf(model)} for ${since(model)}${inFlight}${nobody}${queue(model)}` },
    ...reasons(model, 2),
    { indent: 2, text: bound },
  ];
}

/** What led to its state, then what concerns those who wait for it. */
function reasons(model: ModelExplanation, indent: number): readonly Line[] {
  const { why, weighed, kept_by, waiting, suspended, state } = model;
  const isKept = state !== "awake" && (waiting > 0 || suspended > 0);
  const keeper = kept_by ?? (isKept ? "nothing: it comes as soon as it is its turn" : null);
  return [
    { indent, text: why },
    ...(weighed === null ? [] : [{ indent, text: `weighed: ${weighed}` }]),
    ...(keeper === null ? [] : [{ indent, text: `kept by: ${keeper}` }]),
  ];
}

function stateOf({ state, level, suspended }: ModelExplanation): string {
  const depth = state === "asleep" ? ` (level ${level})` : "";
  return `${state}${depth}${suspended === 0 ? "" : ` with ${suspended} suspended`}`;
}

function since({ for_s }: ModelExplanation): string {
  return duration(for_s * 1000);
}

/** Who waits for it, unless that is told by what the policy weighs. */
function queue({ waiting, oldest_wait_s, weighed }: ModelExplanation): string {
  if (waiting === 0 || weighed !== null) return "";
  const oldest = duration((oldest_wait_s ?? 0) * 1000);
  return waiting === 1 ? `; 1 waits, for ${oldest}` : `; ${waiting} wait, the oldest for ${oldest}`;
}

function switchLines({ switches }: ExplanationDocument, model: string | null): readonly Line[] {
  if (switches.length === 0) return [];
  return [
    { indent: 0, text: "" },
    { indent: 0, text: "Switches, the newest last:" },
    ...switches.flatMap((change) => switchText(change, model)),
  ];
}

function switchText(change: SwitchExplanation, model: string | null): readonly Line[] {
  const { from, to, ago_s, redirected_from, because, suspended, retried, compared } = change;
  const sides = from.length === 0 ? `→ ${to}` : `${from.join(", ")} → ${to}`;
  const texts = [
    `because ${because}`,
    ...(redirected_from === null ? [] : [`it was to be ${redirected_from}; after the drain ${to} was worth more`]),
    ...suspended.map((one) => `${one.model} went with ${one.requests} of its requests suspended`),
    ...(retried === null
      ? []
      : [`too little memory for the wake, so ${retried.evicting} had to go too: ${retried.reason}`]),
    // Whoever asks about one model wants to see it beside the one that came.
    ...compared
      .filter((verdict) => model === null || [model, to, redirected_from].includes(verdict.model))
      .map(({ model: id, weighed, kept_by }) => `${id}: ${weighed}${kept_by === null ? "" : `; kept by: ${kept_by}`}`),
  ];
  return [
    { indent: 2, text: `${duration(ago_s * 1000)} ago: ${sides}, ${outcomeOf(change)}` },
    ...texts.map((text) => ({ indent: 4, text })),
  ];
}

function outcomeOf({ outcome, reason, duration_s, drain_s }: SwitchExplanation): string {
  const took = duration(duration_s * 1000);
  const drain = drain_s === null || drain_s === 0 ? "" : `, ${duration(drain_s * 1000)} of it drain`;
  switch (outcome) {
    case "done":
      return `done in ${took}${drain}`;
    case "under way":
      return `under way for ${took}${drain}`;
    case "failed":
    case "cancelled":
      return `${outcome} after ${took}: ${reason}`;
  }
  // A newer llmux may know outcomes that this one does not.
  return String(outcome satisfies never);
}
