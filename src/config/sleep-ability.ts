/** Which engines can sleep at all. */

/** What is known of one. */
export interface SleepAbility {
  /** As in `engine:`; perhaps a word that is none, while the file is still being checked. */
  readonly kind: string;
  readonly sleepModeFlag: boolean;
  /** Of a `command` or an `external`: whether there are orders for both ways. */
  readonly hasOrders: boolean;
}

/** Null for an engine that can; else the reason, in words. */
export function whyNoSleep({ kind, sleepModeFlag, hasOrders }: SleepAbility): string | null {
  if (kind === "llama-server") return "llama-server cannot sleep";
  if (kind === "sglang" && !sleepModeFlag) return "without sleep_mode_flag SGLang cannot sleep";
  if ((kind === "command" || kind === "external") && !hasOrders) {
    return "there are no orders to put it to sleep and to wake it (sleep, wake)";
  }
  return null;
}
