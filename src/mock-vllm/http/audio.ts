/** POST /v1/audio/transcriptions and /v1/audio/translations: a multipart form whose `model` may stand behind the file. */
import { createHash } from "node:crypto";
import { badRequest } from "./api-errors.ts";
import type { Exchange } from "./exchange.ts";
import { generateWhole, modelNameOf } from "./generation.ts";

/** A text that depends on the file's bytes, if temperature and seed ask for it; as JSON or plain. */
export async function transcriptions(exchange: Exchange): Promise<void> {
  const body = await exchange.readBody();
  const contentType = exchange.request.headers["content-type"] ?? "";
  let form: FormData;
  try {
    form = await new Response(new Uint8Array(body), { headers: { "content-type": contentType } }).formData();
  } catch {
    throw badRequest("There was an error parsing the body");
  }
  const file = form.get("file");
  if (!(file instanceof Blob)) throw badRequest("file: Field required", "file");
  const fields = Object.fromEntries([...form].filter(([, value]) => typeof value === "string"));
  const json = { ...fields, temperature: Number(fields["temperature"] ?? 0), seed: Number(fields["seed"] ?? 0) };
  const modelName = modelNameOf(exchange, json);
  const prompt = createHash("sha256")
    .update(new Uint8Array(await file.arrayBuffer()))
    .digest("hex");
  const { text } = await generateWhole(exchange, {
    modelName,
    prompt,
    maxTokens: undefined,
    maxTokensName: "",
    stops: [],
    json,
  });
  if (fields["response_format"] === "text") return exchange.send(200, "text/plain; charset=utf-8", text);
  const seconds = Math.max(1, Math.ceil(file.size / 32_000));
  return exchange.sendJson(200, { text, usage: { type: "duration", seconds } });
}
