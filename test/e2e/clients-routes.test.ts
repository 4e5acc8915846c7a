/** Routes that are more than JSON in and JSON out, through the real program and the stand-in engine. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { createKey, hashOfKey } from "../../src/base/api-key.ts";
import { scenario } from "./support/scenario.ts";

function transcription(model: string, file: Uint8Array<ArrayBuffer>): FormData {
  const form = new FormData();
  form.append("temperature", "0");
  form.append("file", new Blob([file]), "speech.wav");
  form.append("model", model);
  return form;
}

scenario(
  "a form with a large file goes to the model that stands behind the file, for models that take turns",
  {},
  async (stage) => {
    const file = new Uint8Array(randomBytes(8_000_000));
    const texts: string[] = [];
    for (const model of ["a", "b", "a"]) {
      const answer = await fetch(`http://127.0.0.1:${stage.port}/v1/audio/transcriptions`, {
        method: "POST",
        body: transcription(model, file),
      });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("x-llmux-model"), model);
      texts.push(((await answer.json()) as { text: string }).text);
    }
    // The stand-in's text depends on the bytes of the file, and on the model.
    assert.equal(texts[0], texts[2]);
    assert.notEqual(texts[0], texts[1]);
    assert.deepEqual(
      readdirSync(stage.stateDir).filter((name) => name.startsWith("llmux-body-")),
      [],
    );
  },
);

scenario(
  "a response is found again by its id although other models had their turn since",
  {},
  async ({ port, client }) => {
    const origin = `http://127.0.0.1:${port}`;
    const ids: string[] = [];
    for (const model of ["a", "b"]) {
      const body = JSON.stringify({ model, input: "Hello!", max_output_tokens: 4, temperature: 0 });
      const answer = await fetch(`${origin}/v1/responses`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
      ids.push(((await answer.json()) as { id: string }).id);
    }
    assert.equal((await client.ask("c")).status, 200);
    for (const [index, model] of ["a", "b"].entries()) {
      const answer = await fetch(`${origin}/v1/responses/${ids[index]}`);
      assert.equal(answer.status, 200);
      assert.equal(((await answer.json()) as { model: string }).model, model);
      const cancel = await fetch(`${origin}/v1/responses/${ids[index]}/cancel`, { method: "POST" });
      assert.match(await cancel.text(), /Cannot cancel a synchronous response/);
    }
    assert.equal((await fetch(`${origin}/v1/responses/resp_unknown`)).status, 404);
  },
);

const KEY = createKey();

scenario(
  "an operator reaches an engine's own metrics, and not what puts it to sleep",
  { top: { admin_key: hashOfKey(KEY) } },
  async (stage) => {
    const origin = `http://127.0.0.1:${stage.port}/upstream/a`;
    const headers = { authorization: `Bearer ${KEY}` };
    const metrics = await fetch(`${origin}/metrics`, { headers });
    assert.equal(metrics.status, 200);
    assert.match(await metrics.text(), /^vllm:/m);
    for (const path of ["sleep", "Sleep?level=1", "v1/..%2fsleep", "collective_rpc"]) {
      assert.equal((await fetch(`${origin}/${path}`, { method: "POST", headers })).status, 404, path);
    }
    assert.equal((await fetch(`${origin}/metrics`)).status, 404);
    assert.deepEqual(await (await fetch(`${(await stage.engine("a")).origin}/is_sleeping`)).json(), {
      is_sleeping: false,
    });
  },
);
