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
}

/** 400: the request cannot be understood. */
export function badRequest(message: string, param: string | null = null): ApiError {
  return new ApiError(400, "BadRequestError", message, param);
}

/** 400 as FastAPI's validation words it. */
export function invalidBody(detail: string): ApiError {
  return new ApiError(400, "Bad Request", detail);
}

/** 404: no such model. */
export function unknownModel(name: string): ApiError {
  return new ApiError(404, "NotFoundError", `The model \`${name}\` does not exist.`, "model");
}

/** 500: the engine, or the stand-in itself, has failed. */
export function serverError(message: string): ApiError {
  return new ApiError(500, "InternalServerError", message);
}
