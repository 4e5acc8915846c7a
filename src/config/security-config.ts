/** Who may come in, and how much and how long anybody may take, as the program sees it. */

import { resolve } from "node:path";
import type { Priority } from "../core/model.ts";
import type { ConfigFile } from "./schema.ts";

/** The parts of the configuration that protect llmux. */
export interface SecurityConfig {
  /** Address the metrics' listener listens on. */
  readonly metricsHost: string;
  /** The keys of clients; with none, everybody may come in. */
  readonly apiKeys: readonly ApiKeyConfig[];
  /** The hash of the operators' key; null = there is none, and their commands are not taken over TCP. */
  readonly adminKeyHash: string | null;
  /** Absolute paths; null = plain HTTP. */
  readonly tls: TlsFilesConfig | null;
  readonly limits: LimitsConfig;
}

/** One key of a client. */
export interface ApiKeyConfig {
  /** Unique. */
  readonly name: string;
  /** `sha256:` and 64 hexadecimal digits; unique. */
  readonly hash: string;
  /** The models' own names; null = all. */
  readonly models: readonly string[] | null;
  /** ≥ 1; null = any number. */
  readonly requestsPerMinute: number | null;
  /** ≥ 1; null = any number. */
  readonly inFlightMax: number | null;
  /** What its requests weigh at most; null = what the model or the request says. */
  readonly priority: Priority | null;
}

/** Where the certificate and its key are. */
export interface TlsFilesConfig {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Limits to clients; all of them are more than 0. */
export interface LimitsConfig {
  readonly connectionsMax: number;
  readonly headerBytesMax: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly clientStallMs: number;
}

/** Makes it from a checked file. */
export function resolveSecurity(file: ConfigFile): SecurityConfig {
  const { limits, tls } = file;
  const modelOf = new Map(
    Object.entries(file.models).flatMap(([name, { aliases }]) => [name, ...aliases].map((any) => [any, name] as const)),
  );
  return {
    metricsHost: file.metrics_host ?? file.host,
    apiKeys: file.api_keys.map((key) => ({
      name: key.name,
      hash: key.hash,
      models: key.models && [...new Set(key.models.map((name) => modelOf.get(name) ?? name))],
      requestsPerMinute: key.requests_per_minute,
      inFlightMax: key.max_in_flight,
      priority: key.priority,
    })),
    adminKeyHash: file.admin_key,
    tls: tls && { certFile: resolve(tls.cert_file), keyFile: resolve(tls.key_file) },
    limits: {
      connectionsMax: limits.max_connections,
      headerBytesMax: limits.max_header_bytes,
      headerTimeoutMs: limits.header_timeout_secs,
      bodyTimeoutMs: limits.body_timeout_secs,
      keepAliveMs: limits.keep_alive_secs,
      clientStallMs: limits.client_stall_secs,
    },
  };
}
