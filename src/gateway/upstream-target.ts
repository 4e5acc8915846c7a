/** The path of `/upstream/{model}/{path}`: which model it names, and what may be asked of its engine. */
import { failure, type Failure } from "../base/failure.ts";
import type { GatewayModel, Models } from "./models.ts";
import { UPSTREAM_PATH } from "./routes.ts";

/** What to ask of whom. */
export interface UpstreamTarget {
  readonly model: GatewayModel;
  /** As the engine gets it, without the query. */
  readonly path: string;
}

/**
 * Paths that change the state of an engine, of any kind: only the scheduler may, or it would not know any more who is awake. They are
 * compared without regard to case, and wherever in the path they stand.
 */
const CONTROL: ReadonlySet<string> = new Set(
  [
    // vLLM, in development mode.
    "sleep wake_up is_sleeping collective_rpc pause resume is_paused server_info",
    "reset_prefix_cache reset_mm_cache reset_encoder_cache abort_requests",
    "init_weight_transfer_engine update_weights start_weight_update finish_weight_update get_world_size",
    "scale_elastic_ep is_scaling_elastic_ep load_lora_adapter unload_lora_adapter start_profile stop_profile",
    // SGLang.
    "release_memory_occupation resume_memory_occupation flush_cache pause_generation continue_generation abort_request",
    "update_weights_from_disk update_weights_from_tensor update_weights_from_distributed init_weights_update_group",
    "update_weight_version set_internal_state configure_logging slow_down",
    // LMDeploy, llama-server and the stand-in.
    "wakeup terminate shutdown load unload mock",
  ].flatMap((names) => names.split(" ")),
);

/** Characters that mean themselves in a path, in every server. */
const PLAIN = /^(?:\/[A-Za-z0-9._~!$&'()*+,=:@-]+)*\/?$/;

/**
 * The model's name may have slashes, as it is or percent-encoded; the longest name that there is counts. The path behind it must be
 * plain: no percent signs, no empty or dotted segments, so that it means to the engine what it means here.
 */
export function readUpstreamTarget(path: string, models: Models): UpstreamTarget | Failure {
  const rest = path.slice(UPSTREAM_PATH.length);
  for (let end = rest.length; end > 0; end = rest.lastIndexOf("/", end - 1)) {
    const model = models.find(decode(rest.slice(0, end)));
    if (model === null) continue;
    const enginePath = rest.slice(end) === "" ? "/" : rest.slice(end);
    return isAllowed(enginePath) ? { model, path: enginePath } : refused(enginePath);
  }
  return models.notFound(decode(rest.split("/")[0] ?? ""));
}

function isAllowed(path: string): boolean {
  if (!PLAIN.test(path)) return false;
  return path.split("/").every((part) => part !== "." && part !== ".." && !CONTROL.has(part.toLowerCase()));
}

function refused(path: string): Failure {
  return failure("route_not_found", `${path.slice(0, 200)} of an engine is not to be reached from here.`);
}

function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}
