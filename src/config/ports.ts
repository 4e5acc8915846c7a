/** Ports: everything that llmux and its engines listen on needs one of its own. */

import { type KeyPath, pathText } from "./document.ts";
import type { Draft } from "./draft.ts";
import type { Finding } from "./finding.ts";
import { fileSchema } from "./schema.ts";
import { portMax } from "./schema-values.ts";

/** Checks that no port is used twice; defaults count too. */
export function portFindings(draft: Draft): Finding[] {
  const defaults = fileSchema.pick({ port: true, metrics_port: true }).parse({});
  const findings: Finding[] = [];
  const owners = new Map<number, KeyPath>();
  const uses: readonly (readonly [port: number | undefined, path: KeyPath, inFile: boolean])[] = [
    [draft.port ?? defaults.port, ["port"], draft.port !== undefined],
    [draft.metricsPort ?? defaults.metrics_port, ["metrics_port"], draft.metricsPort !== undefined],
    ...(draft.models ?? []).map(({ port, path }) => [port, [...path, "port"], true] as const),
  ];
  // What the file says comes after what it leaves to defaults, so that the finding stands at a line that can be changed.
  for (const [port, path, inFile] of uses.toSorted((a, b) => Number(a[2]) - Number(b[2]))) {
    if (port === undefined || !Number.isInteger(port) || port < 1 || port > portMax) continue;
    const owner = owners.get(port);
    if (owner === undefined) {
      owners.set(port, path);
      continue;
    }
    const message = `expected a port that nothing else uses, found ${port}, which is also ${pathText(owner)}`;
    findings.push({ severity: "error", path, message, onKey: !inFile });
  }
  return findings;
}
