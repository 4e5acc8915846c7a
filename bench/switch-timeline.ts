/**
 * What a switch is made of, from the engines' own stamps:
 *
 *   last byte → sleep ▓▓▓ sleep → wake ▓▓▓ wake → request
 *
 * The gaps are the gateway's, and with them the way there and back of each call; what is filled is the engine's own work.
 */
import type { Answer } from "./chat.ts";
import { CHAT_PATH, type EngineEvent } from "./engine-events.ts";

/** One switch. */
export interface SwitchTimeline {
  /** All gaps together, in ms. */
  readonly overheadMs: number;
  /** What the engines took for sleep, wake and reload, in ms. */
  readonly engineMs: number;
  /** Each gap by its name, in the order of time, in ms. */
  readonly gaps: readonly { readonly name: string; readonly ms: number }[];
}

interface Operation {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** More than this before its cause, and the clocks of the processes do not agree. */
const SKEW_MS_MAX = 0.2;

/**
 * The switches between answers that follow each other and come from different models. A switch begins when the old
 * model's last byte is out and the new model's request has been sent, and ends when the new engine receives that request.
 * Throws when events and answers do not fit together.
 */
export function switchTimelines(answers: readonly Answer[], events: readonly EngineEvent[]): SwitchTimeline[] {
  const inOrder = [...events].sort((a, b) => a.atMs - b.atMs);
  const visits = visitsOf(answers, inOrder);
  const operations = operationsOf(inOrder);
  return visits.slice(1).flatMap((to, at) => {
    const from = visits[at];
    if (from === undefined || from.answer.model === to.answer.model) return [];
    const startMs = Math.max(Math.min(from.lastByteMs, from.answer.lastByteAtMs), to.answer.sentAtMs);
    const own = operations.filter((one) => one.startMs > from.receivedMs && one.startMs < to.receivedMs);
    return [timelineOf(startMs, own, to.receivedMs)];
  });
}

interface Visit {
  readonly answer: Answer;
  readonly receivedMs: number;
  readonly lastByteMs: number;
}

/** The n-th answer of a model belongs to the n-th request that its engine received. */
function visitsOf(answers: readonly Answer[], events: readonly EngineEvent[]): Visit[] {
  const received = timesByEngine(events, "request received");
  const lastBytes = timesByEngine(events, "last byte sent");
  return answers.map((answer) => {
    const receivedMs = received.get(answer.model)?.shift();
    const lastByteMs = lastBytes.get(answer.model)?.shift();
    if (receivedMs === undefined || lastByteMs === undefined) {
      throw new Error(`the engine of ${answer.model} does not remember all requests that it answered`);
    }
    const earlyMs = Math.max(answer.sentAtMs - receivedMs, receivedMs - answer.lastByteAtMs);
    if (earlyMs > SKEW_MS_MAX) throw new Error(`the clocks of the processes are ${earlyMs.toFixed(3)} ms apart`);
    return { answer, receivedMs, lastByteMs };
  });
}

function timesByEngine(events: readonly EngineEvent[], name: string): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const { engine, event, path, atMs } of events) {
    if (event !== name || path !== CHAT_PATH) continue;
    const list = times.get(engine) ?? [];
    list.push(atMs);
    times.set(engine, list);
  }
  return times;
}

function operationsOf(events: readonly EngineEvent[]): Operation[] {
  const open = new Map<string, number>();
  const operations: Operation[] = [];
  for (const { engine, event, atMs } of events) {
    const [, name, edge] = /^(sleep|wake|reload) (received|done)$/.exec(event) ?? [];
    if (name === undefined) continue;
    const key = `${engine} ${name}`;
    const startMs = open.get(key);
    if (edge === "received") open.set(key, atMs);
    else if (startMs !== undefined) operations.push({ name, startMs, endMs: atMs });
  }
  return operations.sort((a, b) => a.startMs - b.startMs);
}

function timelineOf(startMs: number, operations: readonly Operation[], endMs: number): SwitchTimeline {
  if (!operations.some(({ name }) => name === "sleep") || !operations.some(({ name }) => name === "wake")) {
    throw new Error("between the answers of two models no engine fell asleep and none woke");
  }
  const gaps: { name: string; ms: number }[] = [];
  let before = { name: "last byte", endMs: startMs };
  for (const operation of operations) {
    gaps.push({ name: `${before.name} → ${operation.name}`, ms: operation.startMs - before.endMs });
    before = operation;
  }
  gaps.push({ name: `${before.name} → request`, ms: endMs - before.endMs });
  const engineMs = operations.reduce((sum, operation) => sum + operation.endMs - operation.startMs, 0);
  return { overheadMs: gaps.reduce((sum, { ms }) => sum + ms, 0), engineMs, gaps };
}
