/** What the model says: words, one per token, that depend on the model and, where asked for, on the prompt and the seed. */
import { createHash } from "node:crypto";

/** What decides the words of an answer. */
export interface Question {
  /** The model as loaded, which tells models apart. */
  readonly modelPath: string;
  /** The model as asked for, which the counting answer names. */
  readonly modelName: string;
  readonly prompt: string;
  readonly temperature: number | undefined;
  readonly seed: number | undefined;
}

const numberWords = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const words = (
  "amber anchor apple arrow autumn basin beacon birch branch breeze bridge brook candle canyon cedar chalk circle cloud clover " +
  "coast copper coral cotton crane crystal dawn delta desert dune eagle echo ember fable feather fern field flint forest fountain " +
  "garden glacier grain granite harbor hazel hill hollow honey island ivory jade juniper kettle lagoon lantern laurel lemon linen " +
  "maple marble meadow mist moss mountain needle oak ocean olive orchard otter pearl pebble pine plain prairie quartz quill rain " +
  "raven reed ridge river saddle sage salt sand silver sparrow spring stone summer thistle thunder timber tulip valley velvet " +
  "violet walnut water willow winter wren"
).split(" ");
const garbageWords = ["\uFFFD\uFFFD", "!!!!", "\u2592\u2592", "0x7f", "\uFFFD#", "}}{{", "\u2592!", "\uFFFD0"];

/** A function from the place of a token to its text (a leading blank included): always the same for the same question. */
export function answerOf(question: Question): (at: number) => string {
  if (question.temperature !== 0 || question.seed === undefined) {
    const opening = [question.modelName, " says:"];
    return (at) => opening[at] ?? ` ${countingWord(at - opening.length + 1)}`;
  }
  const digest = createHash("sha256")
    .update(JSON.stringify([question.modelPath, question.prompt, question.seed]))
    .digest();
  return (at) => {
    const word = words[hashAt(digest, at) % words.length] ?? "";
    return at === 0 ? word : ` ${word}`;
  };
}

/** What comes out of weights that nobody has filled: as repeatable as an answer, and nothing like one. */
export function garbageAt(at: number): string {
  return `${at === 0 ? "" : " "}${garbageWords[(at * 5 + 3) % garbageWords.length] ?? ""}`;
}

/** A vector of length 1 that depends on model and text alone. */
export function embeddingOf(modelPath: string, text: string, dimensions: number): number[] {
  const digest = createHash("sha256")
    .update(JSON.stringify([modelPath, text]))
    .digest();
  const raw = Array.from({ length: dimensions }, (_, at) => hashAt(digest, at) / 2 ** 31 - 1);
  const length = Math.hypot(...raw);
  return raw.map((value) => Number((value / length).toFixed(8)));
}

/** How near two texts are, from 0 to 1: the share of words they have in common, and a little chance to break ties. */
export function scoreOf(modelPath: string, left: string, right: string): number {
  const [a, b] = [wordSet(left), wordSet(right)];
  const common = [...a].filter((word) => b.has(word)).length;
  const chance =
    hashAt(
      createHash("sha256")
        .update(JSON.stringify([modelPath, left, right]))
        .digest(),
      0,
    ) /
    2 ** 32;
  return Number((0.95 * (common / Math.max(1, Math.min(a.size, b.size))) + 0.05 * chance).toFixed(6));
}

function wordSet(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
}

function countingWord(count: number): string {
  return numberWords[count - 1] ?? String(count);
}

/** A 32-bit number from the digest and a place: a few multiplications, cheap enough for every token. */
function hashAt(digest: Buffer, at: number): number {
  let hash = digest.readUInt32LE((at * 4) % 32) ^ Math.imul(at + 1, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
