/** The official clients while their model loads: what llmux says meanwhile disturbs neither of them. */
import assert from "node:assert/strict";
import * as anthropic from "@anthropic-ai/sdk";
import * as openai from "openai";
import { scenario } from "../e2e/support/scenario.ts";
import { withKeys } from "./support/house.ts";
import { anthropicOf, chatBody, messageBody, openaiOf, Tries } from "./support/official-clients.ts";

const OFTEN = { heartbeat_secs: 0.1 };

scenario(
  "streams that have heard heartbeats while their model loaded are whole for both clients",
  withKeys({ models: { a: { mock: { load_ms: 1_000 } } }, top: OFTEN }),
  async (stage) => {
    const tries = new Tries();
    const chat = openaiOf(stage.port, {}, tries).chat.completions.stream(chatBody("a", 12));
    const message = anthropicOf(stage.port, {}, tries).messages.stream(messageBody("a", 12));
    assert.equal((await chat.finalChatCompletion()).choices[0]?.finish_reason, "length");
    assert.equal((await message.finalMessage()).usage.output_tokens, 12);
    assert.deepEqual(tries.statuses, [200, 200]);
    // Had no heartbeat been sent before the answer began, the time in the queue would be known.
    for (const { headers } of tries.all) assert.equal(headers.get("x-llmux-queue-ms"), null);
  },
);

scenario(
  "a load that fails after heartbeats is an error with the reason for both clients, and no answer that looks empty",
  withKeys({ models: { a: { startup_timeout_secs: 1 } }, top: OFTEN }),
  async (stage) => {
    stage.order("a", { "never-ready": true });
    const chat = openaiOf(stage.port).chat.completions.create({ ...chatBody("a"), stream: true });
    const message = anthropicOf(stage.port).messages.create({ ...messageBody("a"), stream: true });
    const [chunks, events] = await Promise.all([chat, message]);
    await Promise.all([
      assert.rejects(
        async () => {
          for await (const chunk of chunks) assert.fail(JSON.stringify(chunk));
        },
        (error) => error instanceof openai.APIError && error.code === "start_failed",
      ),
      assert.rejects(
        async () => {
          for await (const event of events) assert.fail(JSON.stringify(event));
        },
        (error) => error instanceof anthropic.APIError && error.message.includes("was not ready"),
      ),
    ]);
  },
);
