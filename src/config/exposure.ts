/** Who can reach the gateway: a warning where it is not only this machine. */

import { isIPv4 } from "node:net";
import type { Draft } from "./draft.ts";
import type { Finding } from "./finding.ts";

/** Warns if the gateway listens on more than loopback. */
export function exposureFindings({ host }: Draft): Finding[] {
  if (host === undefined || isLoopback(host)) return [];
  const message =
    `expected a loopback address such as 127.0.0.1, found ${JSON.stringify(host)}: ` +
    "whoever reaches this address can use the models, for llmux asks for no key";
  return [{ severity: "warning", path: ["host"], message }];
}

function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost" || name.endsWith(".localhost") || name === "::1") return true;
  const address = name.startsWith("::ffff:") ? name.slice("::ffff:".length) : name;
  return isIPv4(address) && address.startsWith("127.");
}
