import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { eventually, MockMachine, type StartedMock } from "../started-mock.ts";

const PIECE = Buffer.alloc(3_200, 7).toString("base64");

/** A session that keeps what it hears. */
class Session {
  readonly events: Record<string, unknown>[] = [];
  closeCode: number | null = null;
  readonly socket: WebSocket;

  constructor(mock: StartedMock) {
    this.socket = new WebSocket(`${mock.url.replace("http", "ws")}/v1/realtime`);
    this.socket.addEventListener("message", ({ data }) => this.events.push(JSON.parse(String(data))));
    this.socket.addEventListener("close", ({ code }) => (this.closeCode = code));
    this.socket.addEventListener("error", () => {});
  }

  say(...events: readonly object[]): void {
    for (const event of events) this.socket.send(JSON.stringify(event));
  }

  async heard(count: number): Promise<readonly Record<string, unknown>[]> {
    await eventually(`${count} events`, () => this.events.length >= count);
    return this.events;
  }
}

const update = { type: "session.update", model: "test/model-1B" };
const append = { type: "input_audio_buffer.append", audio: PIECE };
const commit = { type: "input_audio_buffer.commit" };
const final = { ...commit, final: true };

test("a session greets, and says a word for each piece of audio until the utterance is over", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const session = new Session(mock);
  const [created] = await session.heard(1);
  assert.equal(created?.["type"], "session.created");
  assert.match(String(created?.["id"]), /^sess-[0-9a-f]{32}$/);
  session.say(update, commit, append, append, final);
  const events = await session.heard(4);
  assert.deepEqual(
    events.slice(1).map(({ type }) => type),
    ["transcription.delta", "transcription.delta", "transcription.done"],
  );
  const [, first, second, done] = events;
  assert.equal(done?.["text"], `${String(first?.["delta"])}${String(second?.["delta"])}`);
  assert.match(JSON.stringify(done?.["usage"]), /"completion_tokens":2\b/);
  session.say(commit, append, final);
  assert.equal((await session.heard(6))[4]?.["delta"], first?.["delta"], "the same audio is the same word");
  session.socket.close();
  await eventually("the end is noted", async () => {
    const { counts } = await mock.get<{ counts: Record<string, number> }>("/mock/requests");
    return counts["finished"] === 1;
  });
});

test("a session refuses what it does not understand, with errors that are texts, and goes on", async () => {
  await using machine = new MockMachine();
  const session = new Session(await machine.start());
  await session.heard(1);
  session.say(commit);
  session.socket.send("no JSON");
  session.say(
    { type: "session.update", session: { model: "test/model-1B" } },
    { ...update, model: "gpt-9" },
    { type: "response.create" },
    { ...append, audio: "" },
  );
  const codes = [
    "model_not_validated",
    "invalid_json",
    "invalid_event",
    "model_not_found",
    "unknown_event",
    "invalid_audio",
  ];
  const events = await session.heard(7);
  assert.deepEqual(
    events.slice(1).map(({ code }) => code),
    codes,
  );
  assert.equal(events[4]?.["error"], "The model `gpt-9` does not exist.");
  session.say(update, commit, append, final);
  assert.equal((await session.heard(9)).at(-1)?.["type"], "transcription.done");
  session.socket.close();
});

test("an engine that sleeps hears nothing until it is awake, and one that dies says so before the connection ends", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const session = new Session(mock);
  await session.heard(1);
  await mock.post("/sleep");
  session.say(update, commit, append, final);
  await mock.untilWaiting(1);
  await mock.post("/wake_up");
  assert.equal((await session.heard(3)).at(-1)?.["type"], "transcription.done");
  await mock.fetch("/mock/faults", { json: { "crash-engine-after-chunks": { times: 1 } } });
  session.say(commit, append, append);
  const events = await session.heard(4);
  assert.equal(events.at(-1)?.["code"], "processing_error");
  await eventually("it is closed", () => session.closeCode !== null);
  assert.equal(session.closeCode, 1012);
});

test("the key is asked for, other paths are refused, and SIGTERM ends a session with 1012", async () => {
  await using machine = new MockMachine();
  const guarded = await machine.start({ args: ["--api-key", "secret"] });
  assert.equal(await statusOf(guarded, "/v1/realtime"), 401);
  assert.equal(await statusOf(guarded, "/health"), 403);
  assert.equal(await statusOf(guarded, "/v1/realtime", { authorization: "Bearer secret" }), 101);
  guarded.killGroup();
  const mock = await machine.start();
  const session = new Session(mock);
  await session.heard(1);
  mock.child.kill("SIGTERM");
  await eventually("it is closed", () => session.closeCode !== null);
  assert.equal(session.closeCode, 1012);
  assert.deepEqual(await mock.exit, { code: 0, signal: null });
});

/** The status with which a handshake is answered. */
function statusOf(mock: StartedMock, path: string, more: Record<string, string> = {}): Promise<number | undefined> {
  const headers = {
    connection: "upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...more,
  };
  return new Promise((resolve, reject) => {
    const asked = request(mock.url + path, { headers });
    asked.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(response.statusCode);
    });
    asked.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on("error", reject);
    asked.end();
  });
}
