/** POST /v1/responses, GET /v1/responses/{id} and its cancellation: OpenAI's newer shape, with events that have names. */
import { ClientGoneError } from "../decoder.ts";
import { ApiError, badRequest, serverError } from "./api-errors.ts";
import { randomId } from "./exchange.ts";
import type { Exchange, JsonObject } from "./exchange.ts";
import { generate, generateWhole, modelField, modelNameOf, numberOf, wantsStream } from "./generation.ts";
import type { Ending, Wish } from "./generation.ts";
import { messagesText } from "./request-fields.ts";
import { checkFields } from "./validation.ts";
import type { Field } from "./validation.ts";

const fields: readonly Field[] = [
  { name: "input", kind: "text or list", required: true },
  { name: "max_output_tokens", kind: "integer" },
  modelField,
  { name: "stream", kind: "flag" },
  { name: "temperature", kind: "number" },
];

/** How many finished responses can be asked for again. */
const storedMax = 1_000;
const stored = new Map<string, object>();

/** Answers, whole or as named events. */
export async function responses(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const wish = responseWish(exchange, json);
  const frame: Frame = {
    id: `resp_${randomId()}`,
    itemId: `msg_${randomId()}`,
    createdSecs: Math.floor(Date.now() / 1000),
    model: wish.modelName,
  };
  if (wantsStream(json)) return streamResponse(exchange, wish, frame);
  const { text, ending } = await generateWhole(exchange, wish);
  const whole = responseOf(frame, text, ending);
  if (json["store"] !== false) store(frame.id, whole);
  return exchange.sendJson(200, whole);
}

/** GET /v1/responses/{id}. */
export function response(exchange: Exchange): void {
  exchange.sendJson(200, storedOr404(exchange.url.pathname.split("/")[3] ?? ""));
}

/** POST /v1/responses/{id}/cancel: only what runs in the background could be cancelled, and nothing here does. */
export function cancelResponse(exchange: Exchange): void {
  storedOr404(exchange.url.pathname.split("/")[3] ?? "");
  throw badRequest("Cannot cancel a synchronous response.", "response_id");
}

interface Frame {
  readonly id: string;
  readonly itemId: string;
  readonly createdSecs: number;
  readonly model: string;
}

function responseWish(exchange: Exchange, json: JsonObject): Wish {
  checkFields(json, fields);
  const { input, instructions } = json;
  const messages = Array.isArray(input) ? input : [{ role: "user", content: input }];
  const system = typeof instructions === "string" ? [{ role: "system", content: instructions }] : [];
  return {
    modelName: modelNameOf(exchange, json),
    prompt: messagesText([...system, ...messages]),
    maxTokens: numberOf(json, "max_output_tokens"),
    maxTokensName: "max_output_tokens",
    stops: [],
    json,
  };
}

async function streamResponse(exchange: Exchange, wish: Wish, frame: Frame): Promise<void> {
  const pieces = generate(exchange, wish);
  exchange.beginStream();
  let sequence = 0;
  const send = (type: string, rest: object): void => {
    exchange.sendEvent(JSON.stringify({ type, sequence_number: sequence, ...rest }), type);
    sequence += 1;
  };
  const place = { item_id: frame.itemId, output_index: 0, content_index: 0 };
  send("response.created", { response: responseOf(frame, "", undefined) });
  send("response.in_progress", { response: responseOf(frame, "", undefined) });
  try {
    send("response.output_item.added", { output_index: 0, item: itemOf(frame, "", "in_progress") });
    send("response.content_part.added", { ...place, part: partOf("") });
    let text = "";
    let next = await pieces.next();
    while (next.done !== true) {
      text += next.value;
      send("response.output_text.delta", { ...place, delta: next.value, logprobs: [] });
      next = await pieces.next();
    }
    send("response.output_text.done", { ...place, text, logprobs: [] });
    send("response.content_part.done", { ...place, part: partOf(text) });
    send("response.output_item.done", { output_index: 0, item: itemOf(frame, text, "completed") });
    const whole = responseOf(frame, text, next.value);
    if (wish.json["store"] !== false) store(frame.id, whole);
    send(next.value.reason === "stop" ? "response.completed" : "response.incomplete", { response: whole });
  } catch (error) {
    if (error instanceof ClientGoneError) throw error;
    const answer =
      error instanceof ApiError ? error : serverError(error instanceof Error ? error.message : String(error));
    if (exchange.logged !== undefined) exchange.services.requests.close(exchange.logged, "failed");
    send("error", { code: String(answer.status), message: answer.message, param: null });
  }
  exchange.endStream();
}

/** `ending` undefined: still under way. */
function responseOf(frame: Frame, text: string, ending: Ending | undefined): object {
  const status = ending === undefined ? "in_progress" : ending.reason === "stop" ? "completed" : "incomplete";
  const incomplete =
    status === "incomplete" ? { reason: ending?.reason === "length" ? "max_output_tokens" : "abort" } : null;
  return {
    id: frame.id,
    object: "response",
    created_at: frame.createdSecs,
    model: frame.model,
    status,
    error: null,
    incomplete_details: incomplete,
    instructions: null,
    metadata: null,
    output: ending === undefined ? [] : [itemOf(frame, text, "completed")],
    parallel_tool_calls: true,
    tool_choice: "auto",
    tools: [],
    usage:
      ending === undefined
        ? null
        : {
            input_tokens: ending.promptTokens,
            input_tokens_details: { cached_tokens: 0 },
            output_tokens: ending.completionTokens,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: ending.promptTokens + ending.completionTokens,
          },
  };
}

function itemOf(frame: Frame, text: string, status: "in_progress" | "completed"): object {
  return {
    id: frame.itemId,
    type: "message",
    role: "assistant",
    status,
    content: status === "completed" ? [partOf(text)] : [],
  };
}

function partOf(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function store(id: string, whole: object): void {
  stored.set(id, whole);
  const [oldest] = stored.keys();
  if (stored.size > storedMax && oldest !== undefined) stored.delete(oldest);
}

function storedOr404(id: string): object {
  const whole = stored.get(id);
  if (whole === undefined) {
    throw new ApiError(404, "invalid_request_error", `Response with id '${id}' not found.`, "response_id");
  }
  return whole;
}
