/** Assertions for our own bugs. They stay on in production: a wrong state is worse than a restart. */

/** Thrown when the program itself is wrong; never for bad input or a fault of the world (see `Failure`). */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws `AssertionError` with `message` unless `condition` holds; a function where numbers would be made words for each request. */
export function assert(condition: unknown, message: string | (() => string)): asserts condition {
  if (!condition) throw new AssertionError(typeof message === "string" ? message : message());
}

/** Marks a branch that the types rule out; throws `AssertionError` if it is reached all the same. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
