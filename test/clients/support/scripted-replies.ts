/** What the scripted engine says, in OpenAI's and in Anthropic's shape, whole and as the events of a stream. */
import type { ServerResponse } from "node:http";

/** What a client has asked, as far as it matters. */
export interface AskedChat {
  readonly model: string;
  readonly stream?: boolean;
  readonly messages: readonly { readonly role: string; readonly content?: unknown }[];
  readonly tools?: readonly { readonly name?: string; readonly function?: { readonly name: string } }[];
}

/** One answer in both forms. */
export interface Reply {
  readonly whole: object;
  /** As they go over the wire. */
  readonly events: readonly string[];
}

/** In pieces, with a character of several bytes. */
const ARGUMENT_PIECES = ['{"city', '": "Zür', 'ich"}'];

/** The arguments of every call. */
export const ARGUMENTS = { city: "Zürich" };

/** An answer that calls the first tool. */
export function callTool(chat: AskedChat, isAnthropic: boolean): Reply {
  const name = chat.tools?.[0]?.function?.name ?? chat.tools?.[0]?.name ?? "";
  if (isAnthropic) return anthropicReply(chat.model, { type: "tool_use", id: "toolu_1", name, input: {} }, "tool_use");
  const call = (text: string) => ({ id: "call_1", type: "function", function: { name, arguments: text } });
  const first = { role: "assistant", content: null, tool_calls: [{ index: 0, ...call("") }] };
  const rest = ARGUMENT_PIECES.map((text) => ({ tool_calls: [{ index: 0, function: { arguments: text } }] }));
  const message = { role: "assistant", content: null, tool_calls: [call(ARGUMENT_PIECES.join(""))] };
  return openaiReply(chat.model, message, [first, ...rest], "tool_calls");
}

/** An answer that says this. */
export function sayText(text: string, model: string, isAnthropic: boolean): Reply {
  if (isAnthropic) return anthropicReply(model, { type: "text", text }, "end_turn");
  const deltas = [{ role: "assistant", content: "" }, ...text.split(/(?<= )/).map((content) => ({ content }))];
  return openaiReply(model, { role: "assistant", content: text }, deltas, "stop");
}

/** Sends a stream to its end. */
export function sendEvents(response: ServerResponse, events: readonly string[], isAnthropic: boolean): void {
  for (const event of events) response.write(event);
  response.end(isAnthropic ? "" : "data: [DONE]\n\n");
}

function openaiReply(model: string, message: object, deltas: readonly object[], finish_reason: string): Reply {
  const base = { id: "chatcmpl-1", created: 1, model };
  const usage = { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 };
  const chunk = (delta: object, reason: string | null): string => {
    const choices = [{ index: 0, delta, finish_reason: reason }];
    return `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices })}\n\n`;
  };
  return {
    whole: { ...base, object: "chat.completion", choices: [{ index: 0, message, finish_reason }], usage },
    events: [...deltas.map((delta) => chunk(delta, null)), chunk({}, finish_reason)],
  };
}

type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "tool_use"; readonly [key: string]: unknown };

function anthropicReply(model: string, block: Block, stop_reason: string): Reply {
  const usage = { input_tokens: 3, output_tokens: 5 };
  const base = { id: "msg_1", type: "message", role: "assistant", model, stop_sequence: null };
  const isText = block.type === "text";
  const deltas = isText
    ? block.text.split(/(?<= )/).map((text) => ({ type: "text_delta", text }))
    : ARGUMENT_PIECES.map((partial_json) => ({ type: "input_json_delta", partial_json }));
  const events = [
    { type: "message_start", message: { ...base, content: [], stop_reason: null, usage } },
    { type: "content_block_start", index: 0, content_block: isText ? { ...block, text: "" } : block },
    ...deltas.map((delta) => ({ type: "content_block_delta", index: 0, delta })),
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage },
    { type: "message_stop" },
  ];
  const content = [isText ? block : { ...block, input: ARGUMENTS }];
  return {
    whole: { ...base, content, stop_reason, usage },
    events: events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
  };
}
