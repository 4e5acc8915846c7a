/** The one error for input a user can put right: a bad flag, variable or configuration of the pretend machine. */

/** Says what was given, what was expected and what was found; the command line prints its message and exits with 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
