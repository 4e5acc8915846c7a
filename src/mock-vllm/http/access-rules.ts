/** vLLM's rule for keys: some paths want one, and the others stay open. */
import type { IncomingMessage } from "node:http";

const guardedPrefixes = ["/v1", "/v2", "/inference", "/cohere"];

/** Whether vLLM wants to see a key there. */
export function isGuarded(path: string): boolean {
  return guardedPrefixes.some((prefix) => path.startsWith(prefix));
}

/** Whether a request brings one of the keys, if there are any. */
export function hasKey(request: IncomingMessage, keys: readonly string[]): boolean {
  if (keys.length === 0 || request.method === "OPTIONS") return true;
  return keys.some((key) => request.headers.authorization === `Bearer ${key}`);
}
