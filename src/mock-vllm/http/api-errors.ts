/** Errors as vLLM answers them. */

/** An error with a status and vLLM's `{"error":{…}}` body. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(status: number, type: string, message: string, param: string | null = null) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
  }

  /** The body of the answer. */
  get body(): object {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.status } };
  }

  /** The body as it stands in a stream: there Python's own writer is at work, which puts spaces behind commas and colons. */
  get chunk(): string {
    const { message, type, param, status } = this;
    return (
      `{"error": {"message": ${JSON.stringify(message)}, "type": ${JSON.stringify(type)}, ` +
      `"param": ${JSON.stringify(param)}, "code": ${status}}}`
    );
  }
}

/** An error that the web framework answers itself, with `{"detail":…}` and nothing else. */
export class FrameworkError extends Error {
  override readonly name = "FrameworkError";
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }

  /** The body of the answer. */
  get body(): object {
    return { detail: this.message };
  }
}

/** 400: the request can be read, and asks for what cannot be done. */
export function badRequest(message: string, param: string | null = null): ApiError {
  return new ApiError(400, "BadRequestError", message, param);
}

/** 400 for a value that vLLM's own checks refuse; they name the parameter and the value in the message too. */
export function badValue(message: string, param: string, value?: string | number): ApiError {
  const extras = [`parameter=${param}`, ...(value === undefined ? [] : [`value=${value}`])];
  return badRequest(`${message} (${extras.join(", ")})`, param);
}

/** 400: the body is not what the route takes at all. */
export function invalidBody(message: string): ApiError {
  return new ApiError(400, "Bad Request", message);
}

/** 404: no such model. `served` are the names that would do, or undefined where the version does not tell them. */
export function unknownModel(name: string, served: readonly string[] | undefined): ApiError {
  const aliases = served === undefined ? "" : ` Valid aliases: ${served.join(", ")}.`;
  return new ApiError(404, "NotFoundError", `The model \`${name}\` does not exist.${aliases}`, "model");
}

/** 500: the engine, or the stand-in itself, has failed. */
export function serverError(message: string): ApiError {
  return new ApiError(500, "InternalServerError", message);
}
