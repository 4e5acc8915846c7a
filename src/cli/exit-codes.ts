/** What the command line ends with. Scripts rely on these numbers. */

export const EXIT = {
  /** It did what it was asked for. */
  fine: 0,
  /** It did not, for a reason that is neither of the following. */
  failure: 1,
  /** Wrong arguments, or a configuration or a trace that cannot be used. */
  usage: 2,
  /** The command is for a running llmux, and none runs. */
  notRunning: 3,
  /** Ctrl-C, where that does not mean an orderly end. */
  interrupted: 130,
} as const;

/** One of the numbers above. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The part of the help that tells them. */
export const EXIT_CODES_HELP = `Exit codes:
  0    fine (for serve: it was told to end, and nothing is left running)
  1    failure
  2    wrong usage, or a configuration or a trace that cannot be used
  3    no llmux is running
  130  interrupted (Ctrl-C)`;
