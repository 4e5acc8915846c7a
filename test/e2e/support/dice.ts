/** Random numbers that can be had again. */

/** The same numbers, from 0 to below `below`, for the same seed: what happens is still up to the machine. */
export function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
