import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, chat, json } from "./testing/client.ts";
import { RealtimeEngine } from "./testing/realtime-engine.ts";
import { createStage, until } from "./testing/stage.ts";

const OPTIONS = { upstreamNames: { alpha: "org/alpha-7b" }, limits: { memoryBytesMax: 10_000 } };

function form(model: string, file: string): string {
  const line = "\r\n";
  const part = (disposition: string, value: string): string =>
    `--x${line}Content-Disposition: form-data; ${disposition}${line}${line}${value}${line}`;
  return `${part('name="file"; filename="a.wav"', file)}${part('name="model"', model)}--x--${line}`;
}

const update = (model: string): string => JSON.stringify({ type: "session.update", model });

test("An engine is told its own name for the model, by whichever one the client has asked, and nothing else of the body is another", async (context) => {
  const stage = await createStage(context, OPTIONS);
  const file = "ä\r\n--".repeat(100);
  for (const [path, type, body] of [
    [
      "/v1/chat/completions",
      "application/json",
      (model: string) => ` {"x": {"model": "alpha"},  "model" : "${model}"}`,
    ],
    ["/v1/chat/completions", "application/json", (model: string) => chat(model, { more: "ä".repeat(20_000) })],
    ["/v1/audio/transcriptions", "multipart/form-data; boundary=x", (model: string) => form(model, file)],
    ["/v1/audio/transcriptions", "multipart/form-data; boundary=x", (model: string) => form(model, file.repeat(50))],
  ] as const) {
    for (const name of ["alpha", "first"]) {
      const reply = await ask(stage, { path, headers: { "content-type": type }, body: body(name) });
      assert.equal(reply.status, 200);
      assert.equal(reply.body.toString(), body("org/alpha-7b"));
      const received = stage.engine("alpha").received.at(-1);
      assert.equal(received?.headers["content-length"], String(Buffer.byteLength(body("org/alpha-7b"))));
      assert.equal(reply.headers["x-llmux-model"], "alpha");
    }
  }
});

test("A model that a header has named is renamed too, and one without such a name is passed on as it was written", async (context) => {
  const stage = await createStage(context, OPTIONS);
  const named = await ask(stage, { body: chat("whatever"), headers: { "model-override": "alpha" } });
  assert.equal(json(named)["model"], "org/alpha-7b");
  const opaque = await ask(stage, { body: "no JSON", headers: { "model-override": "alpha" } });
  assert.equal(opaque.body.toString(), "no JSON");
  assert.equal(json(await ask(stage, { body: chat("org/beta") }))["model"], "org/beta");
});

test("The engine's own name is no name for clients", async (context) => {
  const stage = await createStage(context, OPTIONS);
  assert.equal((await ask(stage, { body: chat("org/alpha-7b") })).status, 404);
});

for (const [target, header] of [
  ["/v1/realtime?intent=x&model=first", null],
  ["/v1/realtime", null],
  ["/v1/realtime", "alpha"],
] as const) {
  test(`A realtime engine is told its own name: ${target}, ${header === null ? "no header" : "the model in a header"}`, async (context) => {
    const stage = await createStage(context, OPTIONS);
    const alpha = new RealtimeEngine(stage.engine("alpha"));
    const headers = header === null ? {} : { "model-override": header };
    const socket = new WebSocket(`ws://127.0.0.1:${stage.port}${target}`, { headers });
    const written = header === null ? "alpha" : "whatever";
    const texts = (model: string): string[] => [update(model), "sound", update(model), update("org/beta")];
    socket.addEventListener("open", () => {
      for (const text of texts(written)) socket.send(text);
    });
    await until(() => alpha.texts.length === 4, "the engine has heard all");
    // What a header names counts for all messages, also where they name another model.
    const last = header === null ? "org/beta" : "org/alpha-7b";
    assert.deepEqual(alpha.texts, [...texts("org/alpha-7b").slice(0, 3), update(last)]);
    assert.equal(alpha.requests[0]?.url, target.replace("first", encodeURIComponent("org/alpha-7b")));
    socket.close();
    await until(() => stage.access.length === 1, "the record");
    assert.deepEqual([stage.access[0]?.outcome, stage.access[0]?.model], ["served", "alpha"]);
  });
}
