import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, MockMachine, type StartedMock } from "./started-mock.ts";

/** A prompt of exactly so many tokens. */
function promptOf(tokens: number): string {
  return "abc".repeat(tokens);
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** Streams a completion: its text, and when its pieces came. */
async function stream(
  mock: StartedMock,
  promptTokens: number,
  outputTokens: number,
  onPiece?: (count: number) => void,
) {
  const answer = await mock.fetch("/v1/completions", {
    json: {
      prompt: promptOf(promptTokens),
      max_tokens: outputTokens,
      ignore_eos: true,
      temperature: 0,
      seed: 1,
      stream: true,
      stream_options: { include_usage: true },
    },
  });
  const timesMs: number[] = [];
  let text = "";
  const usages: Usage[] = [];
  let rest = "";
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    const events = (rest + Buffer.from(chunk).toString()).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      if (event === "data: [DONE]") continue;
      const json = JSON.parse(event.slice("data: ".length)) as {
        choices: { text: string }[];
        usage: Usage | null;
      };
      if (json.usage !== null) usages.push(json.usage);
      const piece = json.choices[0]?.text ?? "";
      if (piece === "") continue;
      text += piece;
      timesMs.push(performance.now());
      onPiece?.(timesMs.length);
    }
  }
  return { text, timesMs, usage: usages[0] };
}

const ENV = { MOCK_VLLM_ITL_MS: "10", MOCK_VLLM_PREFILL_TOKENS_PER_S: "4000" };

test("the first token comes when the prompts in front and the own one are read, the others share the engine's speed", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: ENV });
  const startedAt = performance.now();
  const first = stream(mock, 800, 21);
  await eventually("the first to run", async () => (await mock.get<{ running: number }>("/mock/state")).running === 1);
  const second = stream(mock, 400, 2);
  const { timesMs, usage } = await first;
  assert.deepEqual([usage?.prompt_tokens, usage?.completion_tokens], [800, 21]);
  const other = await second;
  // On a machine that has other things to do all may come late; nothing ever comes early.
  const atLeast = (atMs: number | undefined, expectedMs: number, what: string): void => {
    const passedMs = (atMs ?? 0) - startedAt;
    assert.ok(passedMs >= expectedMs - 1, `${what} after ${passedMs} ms`);
  };
  atLeast(timesMs[0], 200, "the first token");
  atLeast(other.timesMs[0], 300, "the first token of the second");
  // Six of the twenty at 0.6 of the speed, while the other prompt is read.
  if ((other.timesMs[0] ?? 0) < (timesMs.at(-1) ?? 0)) atLeast(timesMs.at(-1), 200 + 100 + 140, "the last token");
});

test("a stream that a sleep with mode=keep has frozen has the text and the length that it would have had", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: ENV });
  const undisturbed = await stream(mock, 100, 60);
  const begun = Promise.withResolvers<void>();
  let pieces = 0;
  const frozen = stream(mock, 100, 60, (count) => {
    pieces = count;
    if (count === 5) begun.resolve();
  });
  await begun.promise;
  assert.equal((await mock.post("/sleep?level=1&mode=keep")).status, 200);
  // What was under way when the engine fell asleep has arrived when further questions have been answered.
  for (let at = 0; at < 5; at += 1) await mock.get("/mock/state");
  const whileAsleep = pieces;
  for (let at = 0; at < 50; at += 1) await mock.get("/mock/state");
  assert.equal(pieces, whileAsleep);
  assert.ok(pieces < 60);
  await mock.post("/wake_up");
  const { text, usage } = await frozen;
  assert.equal(text, undisturbed.text);
  assert.deepEqual(usage, undisturbed.usage);
});
