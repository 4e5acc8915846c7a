/** Every route of the stand-in, and who may use it when. */
import { transcriptions } from "./audio.ts";
import { chatCompletions } from "./chat.ts";
import { completions } from "./completions.ts";
import type { Exchange } from "./exchange.ts";
import { countMessageTokens, messages } from "./messages.ts";
import * as mock from "./mock-routes.ts";
import { classify, embeddings, pooling, rerank, score } from "./pooled.ts";
import * as probes from "./probes.ts";
import { cancelResponse, response, responses } from "./responses.ts";
import * as sleepRoutes from "./sleep-routes.ts";
import { detokenize, tokenize } from "./tokenization.ts";

/** One route. */
export interface Route {
  readonly handle: (exchange: Exchange) => void | Promise<void>;
  /** "answer": needs the engine, is logged and counted. "development": only with VLLM_SERVER_DEV_MODE=1. */
  readonly kind: "answer" | "probe" | "development" | "mock";
}

const routes: Readonly<Record<string, Route>> = {
  "GET /health": { kind: "probe", handle: probes.health },
  "GET /ping": { kind: "probe", handle: probes.health },
  "POST /ping": { kind: "probe", handle: probes.health },
  "GET /version": { kind: "probe", handle: probes.version },
  "GET /load": { kind: "probe", handle: probes.load },
  "GET /metrics": { kind: "probe", handle: probes.metrics },
  "GET /v1/models": { kind: "probe", handle: probes.models },
  "POST /v1/chat/completions": { kind: "answer", handle: chatCompletions },
  "GET /v1/responses/{id}": { kind: "answer", handle: response },
  "POST /v1/completions": { kind: "answer", handle: completions },
  "POST /v1/responses": { kind: "answer", handle: responses },
  "POST /v1/responses/{id}/cancel": { kind: "answer", handle: cancelResponse },
  "POST /v1/messages": { kind: "answer", handle: messages },
  "POST /v1/messages/count_tokens": { kind: "answer", handle: countMessageTokens },
  "POST /v1/embeddings": { kind: "answer", handle: embeddings },
  "POST /pooling": { kind: "answer", handle: pooling },
  "POST /classify": { kind: "answer", handle: classify },
  "POST /score": { kind: "answer", handle: score },
  "POST /v1/score": { kind: "answer", handle: score },
  "POST /rerank": { kind: "answer", handle: rerank },
  "POST /v1/rerank": { kind: "answer", handle: rerank },
  "POST /v2/rerank": { kind: "answer", handle: rerank },
  "POST /tokenize": { kind: "answer", handle: tokenize },
  "POST /detokenize": { kind: "answer", handle: detokenize },
  "POST /v1/audio/transcriptions": { kind: "answer", handle: transcriptions },
  "POST /v1/audio/translations": { kind: "answer", handle: transcriptions },
  "POST /sleep": { kind: "development", handle: sleepRoutes.sleep },
  "POST /wake_up": { kind: "development", handle: sleepRoutes.wakeUp },
  "GET /is_sleeping": { kind: "development", handle: sleepRoutes.isSleeping },
  "POST /pause": { kind: "development", handle: sleepRoutes.pause },
  "POST /resume": { kind: "development", handle: sleepRoutes.resume },
  "GET /is_paused": { kind: "development", handle: sleepRoutes.isPaused },
  "POST /collective_rpc": { kind: "development", handle: sleepRoutes.collectiveRpc },
  "POST /reset_prefix_cache": { kind: "development", handle: sleepRoutes.resetPrefixCache },
  "GET /mock/faults": { kind: "mock", handle: mock.showFaults },
  "POST /mock/faults": { kind: "mock", handle: mock.orderFaults },
  "DELETE /mock/faults": { kind: "mock", handle: mock.clearFaults },
  "GET /mock/requests": { kind: "mock", handle: mock.showRequests },
  "GET /mock/events": { kind: "mock", handle: mock.showEvents },
  "DELETE /mock/events": { kind: "mock", handle: mock.clearEvents },
  "GET /mock/state": { kind: "mock", handle: mock.showState },
};

/** The route for a request; "wrong method" if the path is known but not with this method. */
export function findRoute(method: string, path: string, devMode: boolean): Route | "not found" | "wrong method" {
  const isVisible = (route: Route | undefined): route is Route =>
    route !== undefined && (route.kind !== "development" || devMode);
  const pattern = path.replace(/^(\/v1\/responses\/)[^/]+/, "$1{id}");
  const route = routes[`${method} ${pattern}`];
  if (isVisible(route)) return route;
  const others = ["GET", "POST", "DELETE"].some((other) => isVisible(routes[`${other} ${pattern}`]));
  return others ? "wrong method" : "not found";
}
