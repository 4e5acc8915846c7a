import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import http from "node:http";
import { after, before, test } from "node:test";
import { eventually, MockMachine } from "../started-mock.ts";
import type { StartedMock } from "../started-mock.ts";

// One stand-in answers all of these: none of them changes it.
const machine = new MockMachine();
let mock: StartedMock;
before(async () => {
  const names = ["--served-model-name", "qwen", "alias", "--enable-request-id-headers", "--max-model-len", "4096"];
  mock = await machine.start({ model: "Qwen/Qwen3-0.6B", args: names });
});
after(() => machine[Symbol.asyncDispose]());

const hello = [{ role: "user", content: "Say hello." }];

interface Chunk {
  readonly choices: { delta?: { content?: string; role?: string }; text?: string; finish_reason: string | null }[];
  readonly usage?: { completion_tokens: number; prompt_tokens: number; total_tokens: number };
}

async function json<T = Record<string, unknown>>(target: string, body: unknown, status = 200): Promise<T> {
  const answer = await mock.fetch(target, { json: body });
  assert.equal(answer.status, status, target);
  return (await answer.json()) as T;
}

/** The events of a stream: name (if any) and data. */
async function events(target: string, body: unknown): Promise<{ name: string | undefined; data: string }[]> {
  const answer = await mock.fetch(target, { json: body });
  assert.match(answer.headers.get("content-type") ?? "", /^text\/event-stream/);
  const blocks = (await answer.text()).split("\n\n").filter((block) => block !== "");
  return blocks.map((block) => ({
    name: /^event: (.*)$/m.exec(block)?.[1],
    data: /^data: (.*)$/m.exec(block)?.[1] ?? "",
  }));
}

test("a chat is answered under the name it was asked for, with usage", async () => {
  const answer = await json<{
    model: string;
    choices: { message: { content: string }; finish_reason: string }[];
    usage: object;
  }>("/v1/chat/completions", { model: "alias", messages: hello, max_tokens: 5 });
  assert.equal(answer.model, "alias");
  assert.equal(answer.choices[0]?.message.content, "alias says: one two three");
  assert.equal(answer.choices[0].finish_reason, "length");
  assert.deepEqual(answer.usage, {
    prompt_tokens: 6,
    total_tokens: 11,
    completion_tokens: 5,
    prompt_tokens_details: null,
  });
});

test("a streamed chat says the same as a whole one, chunk by chunk, with usage if asked for", async () => {
  const question = { model: "qwen", messages: hello, temperature: 0, seed: 7, max_tokens: 6 };
  const whole = await mock.ask({ ...question });
  const list = await events("/v1/chat/completions", {
    ...question,
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.equal(list.at(-1)?.data, "[DONE]");
  const chunks = list.slice(0, -1).map(({ data }) => JSON.parse(data) as Chunk);
  assert.equal(chunks[0]?.choices[0]?.delta?.role, "assistant");
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join(""), whole.text);
  assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, "length");
  assert.equal(chunks.at(-1)?.usage?.completion_tokens, 6);
});

test("temperature 0 with a seed answers the same question the same way, and other seeds, questions and models otherwise", async () => {
  const ask = async (fields: object): Promise<string> => (await mock.ask({ messages: hello, ...fields })).text;
  assert.equal(await ask({ seed: 1 }), await ask({ seed: 1 }));
  assert.notEqual(await ask({ seed: 1 }), await ask({ seed: 2 }));
  assert.notEqual(
    await ask({ seed: 1 }),
    await ask({ seed: 1, messages: [{ role: "user", content: "Say goodbye." }] }),
  );
  await using other = new MockMachine();
  const stranger = await other.start({ model: "org/other-1B" });
  assert.notEqual((await stranger.ask({ messages: hello, seed: 1 })).text, await ask({ seed: 1 }));
});

test("an answer ends by itself, at a stop text, or goes on to the limit with ignore_eos", async () => {
  const natural = await mock.ask({ temperature: 1, max_tokens: 1000 });
  assert.equal(natural.reason, "stop");
  const stopped = await mock.ask({ temperature: 1, max_tokens: 1000, stop: ["four"] });
  assert.deepEqual([stopped.text, stopped.reason], ["qwen says: one two three ", "stop"]);
  const long = await mock.ask({ temperature: 1, max_tokens: 100, ignore_eos: true });
  assert.match(long.text, / 98$/);
  assert.equal(long.reason, "length");
});

test("a completion is answered whole and streamed, from text or tokens", async () => {
  const question = { model: "qwen", prompt: "Once upon", temperature: 0, seed: 3 };
  const whole = await json<{ choices: { text: string; finish_reason: string }[] }>("/v1/completions", question);
  const list = await events("/v1/completions", { ...question, stream: true });
  const text = list.slice(0, -1).map(({ data }) => (JSON.parse(data) as Chunk).choices[0]?.text ?? "");
  assert.equal(text.join(""), whole.choices[0]?.text);
  const { tokens } = await json<{ tokens: number[] }>("/tokenize", { model: "qwen", prompt: "Once upon" });
  const fromTokens = await json<{ choices: { text: string }[] }>("/v1/completions", { ...question, prompt: tokens });
  assert.equal(fromTokens.choices[0]?.text, whole.choices[0]?.text);
});

test("a response is answered, can be asked for again, and streams named events", async () => {
  const whole = await json<{ id: string; status: string; output: { content: { text: string }[] }[] }>("/v1/responses", {
    model: "qwen",
    input: "hi",
  });
  assert.equal(whole.status, "completed");
  assert.match(whole.output[0]?.content[0]?.text ?? "", /^qwen says: one/);
  assert.deepEqual(await mock.get(`/v1/responses/${whole.id}`), whole);
  assert.equal((await mock.fetch("/v1/responses/resp_none")).status, 404);
  assert.equal((await mock.post(`/v1/responses/${whole.id}/cancel`)).status, 400);
  const list = await events("/v1/responses", { model: "qwen", input: "hi", max_output_tokens: 3, stream: true });
  assert.deepEqual(
    list.map((event) => event.name),
    [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.incomplete",
    ],
  );
});

test("Anthropic's messages have their own shape and stream", async () => {
  const question = { model: "qwen", messages: hello, max_tokens: 4 };
  const whole = await json<{ type: string; content: { text: string }[]; stop_reason: string }>(
    "/v1/messages",
    question,
  );
  assert.deepEqual(
    [whole.type, whole.content[0]?.text, whole.stop_reason],
    ["message", "qwen says: one two", "max_tokens"],
  );
  const list = await events("/v1/messages", { ...question, stream: true });
  const names = list.map((event) => event.name);
  assert.deepEqual(
    [names[0], names[1], names[2], ...names.slice(-3)],
    [
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ],
  );
  assert.ok((await json<{ input_tokens: number }>("/v1/messages/count_tokens", question)).input_tokens > 0);
});

test("embeddings have length 1, depend on the text, and come as numbers or base64", async () => {
  const answer = await json<{ data: { embedding: number[] }[] }>("/v1/embeddings", {
    model: "qwen",
    input: ["a", "b", "a"],
  });
  const [a, b, again] = answer.data.map((one) => one.embedding);
  assert.deepEqual(a, again);
  assert.notDeepEqual(a, b);
  assert.ok(Math.abs(Math.hypot(...(a ?? [])) - 1) < 1e-6);
  const packed = await json<{ data: { embedding: string }[] }>("/v1/embeddings", {
    model: "qwen",
    input: "a",
    encoding_format: "base64",
  });
  assert.equal(Buffer.from(packed.data[0]?.embedding ?? "", "base64").readFloatLE(0), Math.fround(a?.[0] ?? 0));
});

test("documents are ranked and scored by what they share with the query", async () => {
  const documents = ["Berlin is in Germany", "the capital of France is Paris"];
  for (const target of ["/rerank", "/v1/rerank", "/v2/rerank"]) {
    const { results } = await json<{ results: { index: number }[] }>(target, {
      model: "qwen",
      query: "capital of France",
      documents,
    });
    assert.deepEqual(
      results.map((result) => result.index),
      [1, 0],
    );
  }
  for (const target of ["/score", "/v1/score"]) {
    const { data } = await json<{ data: { score: number }[] }>(target, {
      model: "qwen",
      text_1: "capital of France",
      text_2: documents,
    });
    assert.ok((data[1]?.score ?? 0) > (data[0]?.score ?? 1));
  }
});

test("pooling and classification answer for each text", async () => {
  assert.equal((await json<{ data: object[] }>("/pooling", { model: "qwen", input: ["a", "b"] })).data.length, 2);
  const { data } = await json<{ data: { probs: number[] }[] }>("/classify", { model: "qwen", input: "a" });
  assert.equal(
    data[0]?.probs.reduce((sum, one) => sum + one, 0),
    1,
  );
});

test("any text survives being made into tokens and back", async () => {
  const prompt = "Grüße, 世界! \u{1F642}\n";
  const { tokens, count } = await json<{ tokens: number[]; count: number }>("/tokenize", { model: "qwen", prompt });
  assert.equal(count, tokens.length);
  assert.deepEqual(await json("/detokenize", { model: "qwen", tokens }), { prompt });
});

test("a recording is transcribed, with the model's name behind the file", async () => {
  const form = new FormData();
  form.append("file", new Blob([Buffer.alloc(64_000, 1)]), "a.wav");
  form.append("model", "qwen");
  const answer = await mock.fetch("/v1/audio/transcriptions", { method: "POST", body: form });
  assert.equal(answer.status, 200);
  assert.match(((await answer.json()) as { text: string }).text, /^\w+( \w+)+$/);
});

test("the models are listed under all served names", async () => {
  const { data } = await mock.get<{ data: { id: string; root: string; max_model_len: number }[] }>("/v1/models");
  assert.deepEqual(
    data.map(({ id, root, max_model_len }) => [id, root, max_model_len]),
    [
      ["qwen", "Qwen/Qwen3-0.6B", 4096],
      ["alias", "Qwen/Qwen3-0.6B", 4096],
    ],
  );
});

test("a connection is closed when the client wants it closed", async () => {
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http.get(`${mock.url}/health`, { agent: false, headers: { connection: "close" } }, resolve).on("error", reject);
  });
  assert.equal(answer.headers.connection, "close");
  answer.resume();
  await new Promise((resolve) => answer.socket.once("close", resolve));
});

test("a request id is echoed if that was asked for, and made up if none was sent", async () => {
  const answer = await mock.fetch("/v1/models", { headers: { "x-request-id": "abc" } });
  assert.equal(answer.headers.get("x-request-id"), "abc");
  assert.match((await mock.fetch("/v1/models")).headers.get("x-request-id") ?? "", /^[0-9a-f]{32}$/);
});

test("the id of an answer is what the client sent as X-Request-Id, or 16 hex digits, behind a prefix of the route", async () => {
  const bodies = {
    "/v1/chat/completions": ["chatcmpl", { messages: hello }],
    "/v1/completions": ["cmpl", { prompt: "a" }],
    "/v1/messages": ["chatcmpl", { model: "qwen", messages: hello, max_tokens: 2 }],
    "/v1/embeddings": ["embd", { input: "a" }],
  } as const;
  for (const [target, [prefix, body]] of Object.entries(bodies)) {
    const sent = await mock.fetch(target, { json: body, headers: { "x-request-id": "my-id-1" } });
    assert.equal(((await sent.json()) as { id: string }).id, `${prefix}-my-id-1`);
    assert.match((await json<{ id: string }>(target, body)).id, new RegExp(`^${prefix}-[0-9a-f]{16}$`));
  }
  assert.match((await json<{ id: string }>("/v1/responses", { input: "hi" })).id, /^resp_[0-9a-f]{16}$/);
});

test("requests are logged with their headers and the hash of their body", async () => {
  const body = JSON.stringify({ model: "qwen", messages: hello, max_tokens: 2, note: "find me" });
  await mock.fetch("/v1/chat/completions", {
    method: "POST",
    body,
    headers: { "content-type": "application/json", "x-mine": "yes" },
  });
  const { requests, counts } = await mock.get<{
    requests: { bodySha256: string; headers: Record<string, string>; outcome: string; tokens: number }[];
    counts: { received: number; running: number };
  }>("/mock/requests");
  const mine = requests.find((one) => one.bodySha256 === createHash("sha256").update(body).digest("hex"));
  assert.deepEqual([mine?.headers["x-mine"], mine?.outcome, mine?.tokens], ["yes", "finished", 2]);
  assert.ok(counts.received >= 1);
  assert.equal(counts.running, 0);
});

test("events are stamped in the order in which they happened", async () => {
  await mock.fetch("/mock/events", { method: "DELETE" });
  const startedAtMs = performance.timeOrigin + performance.now();
  await mock.ask();
  const list = await eventually("the last byte", async () => {
    const all = await mock.get<{ event: string; atMs: number; path: string }[]>("/mock/events");
    const mine = all.filter((one) => one.path === "/v1/chat/completions");
    return mine.length === 3 ? mine : undefined;
  });
  assert.deepEqual(
    list.map((one) => one.event),
    ["request received", "first byte sent", "last byte sent"],
  );
  assert.ok((list[0]?.atMs ?? 0) >= startedAtMs - 1 && !Number.isInteger(list[0]?.atMs));
});

test("metrics count what was done, under vLLM's names", async () => {
  await mock.ask();
  const page = await (await mock.fetch("/metrics")).text();
  for (const line of [
    /^vllm:num_requests_running\{engine="0",model_name="qwen"\} 0$/m,
    /^vllm:num_requests_waiting\{.*\} 0$/m,
    /^vllm:prompt_tokens_total\{.*\} [1-9]\d*$/m,
    /^vllm:generation_tokens_total\{.*\} [1-9]\d*$/m,
    /^vllm:engine_sleep_state\{.*sleep_state="awake"\} 1$/m,
    /^vllm:request_success_total\{.*finished_reason="length"\} [1-9]\d*$/m,
    /^vllm:time_to_first_token_seconds_count\{.*\} [1-9]\d*$/m,
  ]) {
    assert.match(page, line);
  }
  assert.deepEqual(await mock.get("/load"), { server_load: 0 });
  assert.deepEqual(await mock.get("/version"), { version: "0.32.0" });
  for (const method of ["GET", "POST"]) {
    const ping = await mock.fetch("/ping", { method });
    assert.deepEqual([ping.status, await ping.text()], [200, ""]);
  }
});

test("a client that leaves in mid-stream aborts its request", async () => {
  await using slow = new MockMachine();
  const engine = await slow.start({ env: { MOCK_VLLM_ITL_MS: "30" } });
  const request = http.request(`${engine.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
  });
  request.on("error", () => {});
  request.end(JSON.stringify({ messages: hello, stream: true, max_tokens: 10_000, ignore_eos: true }));
  await eventually(
    "the request to run",
    async () => (await engine.get<{ running: number }>("/mock/state")).running === 1,
  );
  request.destroy();
  await eventually(
    "the request to end",
    async () => (await engine.get<{ running: number }>("/mock/state")).running === 0,
  );
  const { counts } = await engine.get<{ counts: Record<string, number> }>("/mock/requests");
  assert.deepEqual([counts["client gone"], counts["finished"], counts["running"]], [1, 0, 0]);
});

test("requests beyond --max-num-seqs wait", async () => {
  await using slow = new MockMachine();
  const engine = await slow.start({ args: ["--max-num-seqs", "2"], env: { MOCK_VLLM_ITL_MS: "30" } });
  const answers = [1, 2, 3].map(() => engine.ask({ max_tokens: 20, ignore_eos: true }));
  await eventually("two to run and one to wait", async () => {
    const state = await engine.get<{ running: number; waiting: number }>("/mock/state");
    return state.running === 2 && state.waiting === 1;
  });
  assert.deepEqual(new Set((await Promise.all(answers)).map((answer) => answer.status)), new Set([200]));
});
