/** What must never be written down: keys of clients and operators, secrets of engines, and what people ask and are answered. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createKey, hashOfKey } from "../../src/base/api-key.ts";
import { freePort } from "./support/free-port.ts";
import { scenario } from "./support/scenario.ts";
import type { Stage } from "./support/stage.ts";

const CLIENT_KEY = createKey();
const WRONG_KEY = createKey();
const ADMIN_KEY = createKey();
const adminPort = await freePort();

/** Each is a word that stands nowhere else. */
const SECRETS = {
  clientKey: CLIENT_KEY.slice("sk-llmux-".length),
  wrongKey: WRONG_KEY.slice("sk-llmux-".length),
  adminKey: ADMIN_KEY.slice("sk-llmux-".length),
  basic: "dXNlcjpwYXNzd29yZA",
  cookie: "cookie-7f3a91",
  query: "query-5be210",
  engineToken: "hf_engineTokenAAAABBBBCCCC",
  engineKey: "engine-key-99ab12",
  argument: "argument-secret-41cd",
  prompt: "prompt-word-83ee77",
  unfinished: "unfinished-word-19aa",
  tool: "tool-word-552bd0",
} as const;

const bearer = { authorization: `Bearer ${CLIENT_KEY}` };

async function post(stage: Stage, path: string, headers: Record<string, string>, body: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${stage.port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  return `${answer.status} ${await answer.text()}`;
}

function chat(more: object): string {
  const messages = [{ role: "user", content: SECRETS.prompt }];
  return JSON.stringify({ model: "a", messages, max_tokens: 4, ...more });
}

/** Every file below a folder, but for the configuration, which is where the engines' secrets come from. */
function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.endsWith("llmux.yaml"))
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

scenario(
  "With everything logged, no key, no secret of an engine and no word of a request is in the log or in any file",
  {
    models: {
      a: {
        env: { HF_TOKEN: SECRETS.engineToken, SOME_API_KEY: SECRETS.engineKey },
        extra_args: ["--gpu-memory-utilization", "0.8", "--hf-token", SECRETS.argument],
      },
      b: {},
    },
    top: {
      metrics_port: adminPort,
      admin_key: hashOfKey(ADMIN_KEY),
      api_keys: [{ name: "reader", hash: hashOfKey(CLIENT_KEY), models: ["a"] }],
    },
  },
  async (stage) => {
    const { log } = stage;
    const cookie = { cookie: SECRETS.cookie };
    assert.match(await post(stage, "/v1/chat/completions", { ...bearer, ...cookie }, chat({})), /^200 /);
    assert.match(await post(stage, "/v1/chat/completions", bearer, chat({ stream: true })), /^200 [^]*\[DONE\]/);
    assert.match(await post(stage, "/v1/messages", { "x-api-key": CLIENT_KEY }, chat({})), /^200 /);
    assert.match(
      await post(stage, "/v1/completions", bearer, `{"model": "a", "prompt": "${SECRETS.unfinished}`),
      /^400 /,
    );
    assert.match(await post(stage, "/v1/chat/completions", bearer, chat({ model: "b" })), /^403 /);
    assert.match(await post(stage, "/v1/chat/completions", bearer, chat({ model: 5, tool: SECRETS.tool })), /^400 /);
    const wrong = { authorization: `Bearer ${WRONG_KEY}` };
    assert.match(await post(stage, `/v1/completions?api_key=${SECRETS.query}`, wrong, chat({})), /^401 /);
    assert.match(await post(stage, "/v1/completions", { authorization: `Basic ${SECRETS.basic}` }, chat({})), /^401 /);
    const admin = `http://127.0.0.1:${adminPort}`;
    const asAdmin = { authorization: `Bearer ${ADMIN_KEY}` };
    assert.equal((await fetch(`${admin}/status`)).status, 401);
    const status = await (await fetch(`${admin}/status`, { headers: asAdmin })).text();
    const metrics = await (await fetch(`${admin}/metrics`, { headers: asAdmin })).text();
    const written = new Map<string, string>();
    for (const folder of [stage.stateDir, join(stage.stateDir, "engines"), join(stage.stateDir, "logs")]) {
      assert.equal(statSync(folder).mode & 0o077, 0, `${folder} is closed to other users`);
    }
    for (const path of filesBelow(stage.folder))
      written.set(`${path} of the running engine`, readFileSync(path, "latin1"));
    assert.equal((await fetch(`${admin}/models/a/stop`, { method: "POST", headers: asAdmin })).status, 200);
    await log.until("engine stopped", { model: "a" });
    await log.until("request refused", { status: 403 });

    written.set("the log", [...log.events.map((event) => JSON.stringify(event)), ...log.otherLines].join("\n"));
    written.set("the status", status);
    written.set("the metrics", metrics);
    for (const path of filesBelow(stage.folder)) written.set(path, readFileSync(path, "latin1"));
    assert.ok(
      [...written.keys()].some((name) => name.endsWith(".log")),
      "the engine's own log is among the files",
    );
    for (const [where, text] of written) {
      for (const [what, secret] of Object.entries(SECRETS)) {
        // What stands in an engine's command line every user of the machine can see; there is also the record by which a later
        // llmux knows it again, and the engine itself repeats it.
        if (what === "argument" && where.startsWith(stage.stateDir)) continue;
        assert.ok(
          !text.includes(secret),
          `${what} is in ${where}: ${text.split("\n").find((line) => line.includes(secret))}`,
        );
      }
    }
    // That it is quiet for a reason and not by chance: it tells of each of the requests, and whose they were.
    assert.equal(log.all("request served", { client: "reader", model: "a" }).length, 3);
    assert.equal(log.all("request refused", { client: "reader" }).length, 3);
    assert.equal(log.all("request refused", { code: "invalid_api_key" }).length, 2);
    assert.ok(log.all("engine output").length > 0);
  },
);
