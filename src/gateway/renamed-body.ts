/** A body for an engine that knows the model by another name: only the bytes of that name are others. */
import { failure, type Failure } from "../base/failure.ts";
import type { BodyAsk, BodyForm } from "./body-ask.ts";
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
  const at = ask.modelAt;
  if (at === undefined)
    return failure("invalid_request", "`model` is written in a way in which it cannot be found again.");
  const written = form.write(name);
  if (body instanceof SpooledBody) return body.with(at, written);
  return Buffer.concat([body.subarray(0, at.from), written, body.subarray(at.to)]);
}
