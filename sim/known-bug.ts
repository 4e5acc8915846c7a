/** What a deliberate bug is. */
import type { Mutation } from "./simulate.ts";
import type { Rule } from "./violation.ts";

/** A bug and who may notice it first. */
export interface KnownBug {
  readonly mutation: Mutation;
  readonly noticedBy: readonly Rule[];
}

/** By a sentence that says what the bug does. Each is made anew for every run, since some of them count. */
export type KnownBugs = Readonly<Record<string, () => KnownBug>>;

/** `instead` at each n-th call, `usual` otherwise. */
export function everyNth<A extends readonly unknown[]>(
  n: number,
  usual: (...args: A) => void,
  instead: (...args: NoInfer<A>) => void,
): (...args: A) => void {
  let calls = 0;
  return (...args) => {
    calls += 1;
    (calls % n === 0 ? instead : usual)(...args);
  };
}
