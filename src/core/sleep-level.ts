/** How far a model is put away when it must make room. */

/** 1: weights to host RAM. 2: weights discarded, reloaded at the wake. 3: the process is stopped. */
export type SleepLevel = 1 | 2 | 3;

/** The levels at which the engine's process stays alive. */
export type LiveSleepLevel = 1 | 2;
