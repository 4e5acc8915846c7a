/** The other end of the control socket: what the commands of the operator speak to a running llmux with. */
import { request } from "node:http";
import { describeError } from "../base/failure.ts";
import type { OperatorCommand } from "../core/operator.ts";
import type { ExplanationDocument, ExplanationQuery } from "./explanation.ts";
import type { ModelStatus, StatusDocument } from "./status.ts";

/** A running llmux answers at once; this is for one that hangs. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Longest answer that is read, in bytes: a status of thousands of models. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Nobody listens at the socket; the message names it and says what to do. */
export class NotRunningError extends Error {
  override readonly name = "NotRunningError";
}

/** llmux runs, but did not do what it was asked for; the message says why. */
export class ControlError extends Error {
  override readonly name = "ControlError";
}

/** Asks for the status. Rejects with `NotRunningError` or `ControlError`. */
export async function fetchStatus(socketPath: string): Promise<StatusDocument> {
  const { status, body } = await call(socketPath, "GET", "/status");
  if (status !== 200 || !("models" in body) || !Array.isArray(body.models)) throw refusal(status, body);
  return body as StatusDocument;
}

/** Asks why things are as they are; the model may be an alias. Rejects as `fetchStatus` does. */
export async function fetchExplanation(socketPath: string, query: ExplanationQuery): Promise<ExplanationDocument> {
  const { model, last } = query;
  const asked = new URLSearchParams({ ...(model === null ? {} : { model }), last: String(last) });
  const { status, body } = await call(socketPath, "GET", `/explain?${asked.toString()}`);
  if (status !== 200 || !("switches" in body) || !Array.isArray(body.switches)) throw refusal(status, body);
  return body as ExplanationDocument;
}

/** Puts a model (or alias) to sleep, or stops it; resolves with its status right after. Rejects as `fetchStatus` does. */
export async function operateModel(socketPath: string, name: string, command: OperatorCommand): Promise<ModelStatus> {
  const { status, body } = await call(socketPath, "POST", `/models/${encodeURIComponent(name)}/${command}`);
  if (status !== 200 || !("model" in body)) throw refusal(status, body);
  return body.model as ModelStatus;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

function call(socketPath: string, method: "GET" | "POST", path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false, timeout: ANSWER_TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      let byteCount = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        byteCount += chunk.length;
        if (byteCount > ANSWER_BYTES_MAX) outgoing.destroy(new Error(`the answer is over ${ANSWER_BYTES_MAX} bytes`));
      });
      response.once("error", (error) => reject(explained(error, socketPath)));
      response.once("end", () => {
        const status = response.statusCode ?? 0;
        const body = parsed(Buffer.concat(chunks).toString("utf8"));
        if (body === null) reject(new ControlError(`what listens at ${socketPath} does not answer as llmux does`));
        else resolve({ status, body });
      });
    });
    outgoing.once("timeout", () => {
      outgoing.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`));
    });
    outgoing.once("error", (error) => reject(explained(error, socketPath)));
    outgoing.end();
  });
}

function parsed(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : null;
  } catch {
    return null;
  }
}

function refusal(status: number, body: object): ControlError {
  const error: unknown = "error" in body ? body.error : undefined;
  const message = typeof error === "object" && error !== null && "message" in error ? String(error.message) : null;
  return new ControlError(message ?? `llmux answered ${status}, and not what was expected of it`);
}

function explained(error: Error, socketPath: string): Error {
  const { code } = error as NodeJS.ErrnoException;
  const advice =
    "start it with llmux serve, or name another one's configuration with --config or its folder with --state-dir";
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new NotRunningError(`no llmux is running: there is no socket at ${socketPath}; ${advice}`);
  }
  if (code === "ECONNREFUSED") {
    return new NotRunningError(`no llmux is running: nobody listens at ${socketPath} any more; ${advice}`);
  }
  if (code === "EACCES" || code === "EPERM") {
    return new ControlError(`the llmux at ${socketPath} belongs to another user: access is denied`);
  }
  return new ControlError(`the llmux at ${socketPath} did not answer: ${describeError(error)}`);
}
