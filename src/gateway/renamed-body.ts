/** A body for an engine that knows the model by another name: only the bytes of that name are others. */
import { failure, type Failure } from "../base/failure.ts";
import type { BodyAsk, BodyForm, ByteSpan } from "./body-ask.ts";
import type { RequestBody } from "./body.ts";
import { SpooledBody } from "./spool-file.ts";

/**
 * Returns the body as it is where `name` is null, where the body names no model, and where it could not be read: then a header has named
 * the model, and the engine may make of the body what it can. Fails where the name was read and it cannot be told where it stands.
 */
export function renamedBody(
  body: RequestBody,
  form: BodyForm,
  ask: BodyAsk | Failure,
  name: string | null,
): RequestBody | Failure {
  if (name === null || "code" in ask || ask.model === null || ask.model === name) return body;
  const at = ask.modelAt ?? placeIn(body, form);
  if (at === null) return failure("invalid_request", "`model` is written in a way in which it cannot be found again.");
  const written = form.write(name);
  if (body instanceof SpooledBody) return body.with(at, written);
  return Buffer.concat([body.subarray(0, at.from), written, body.subarray(at.to)]);
}

/** What is small enough for memory may have been read by a faster parser, which does not tell places. */
function placeIn(body: RequestBody, form: BodyForm): ByteSpan | null {
  if (body instanceof SpooledBody) return null;
  let at: ByteSpan | null = null;
  const scan = form.scan();
  scan.push(body);
  scan.end((ask) => {
    at = "modelAt" in ask ? (ask.modelAt ?? null) : null;
  });
  return at;
}
