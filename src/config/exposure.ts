/** Who can reach llmux: warnings where it is not only this machine and nothing stands in the way. */

import { isIPv4 } from "node:net";
import type { Draft } from "./draft.ts";
import type { Finding } from "./finding.ts";

/** Warns if the gateway or the metrics listen on more than loopback, and somebody could do there what he should not. */
export function exposureFindings(draft: Draft): Finding[] {
  const { host, metricsHost = host, metricsPort } = draft;
  const findings: Finding[] = [];
  const warn = (key: string, message: string): void =>
    void findings.push({ severity: "warning", path: [key], message });
  if (host !== undefined && !isLoopback(host)) {
    const found = `expected a loopback address such as 127.0.0.1, found ${JSON.stringify(host)}`;
    if (draft.apiKeys.length === 0) {
      const cure = "make some with llmux key new and list them in api_keys";
      warn("host", `${found}: whoever reaches this address can use the models, for there are no keys; ${cure}`);
    } else if (!draft.hasTls) {
      const cure = "set tls, unless a proxy in front of llmux speaks it";
      warn("host", `${found}: the keys of clients go over the network in the clear; ${cure}`);
    }
  }
  if (metricsHost === undefined || isLoopback(metricsHost) || metricsPort === 0) return findings;
  const where = draft.metricsHost === undefined ? "host" : "metrics_host";
  if (!draft.hasAdminKey) {
    const cure = "set metrics_host to 127.0.0.1, or admin_key";
    warn(where, `the metrics are open to whoever reaches ${metricsHost}, and ask for no key; ${cure}`);
  } else if (!draft.hasTls) {
    warn(where, `operators send their key to ${metricsHost} in the clear; set tls, or metrics_host to 127.0.0.1`);
  }
  return findings;
}

function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost" || name.endsWith(".localhost") || name === "::1") return true;
  const address = name.startsWith("::ffff:") ? name.slice("::ffff:".length) : name;
  return isIPv4(address) && address.startsWith("127.");
}
