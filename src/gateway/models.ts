/** The models that there are, by every name that clients may use for them. */
import { failure, type Failure } from "../base/failure.ts";
import { suggest } from "../base/suggest.ts";
import type { ModelId } from "../core/model.ts";

/** One configured model, as the gateway needs it. */
export interface GatewayModel {
  readonly id: ModelId;
  /** Further names for it. */
  readonly aliases: readonly string[];
  /** What the engine calls it; it is told what the client has written, where there is none. */
  readonly upstreamName?: string | null;
}

/** An error message names no more models than this. */
const NAMED_MAX = 50;

/** Nor does it repeat more of a wrong name than this. */
const NAME_LENGTH_MAX = 100;

/** Finds models by exact id, then by alias. */
export class Models {
  readonly all: readonly GatewayModel[];
  readonly #byName = new Map<string, GatewayModel>();
  readonly #upstreamNames = new Map<ModelId, string>();
  readonly #headerValues = new Map<ModelId, string>();

  constructor(all: readonly GatewayModel[]) {
    this.all = all;
    for (const model of all) for (const alias of model.aliases) this.#byName.set(alias, model);
    for (const model of all) this.#byName.set(model.id, model);
    for (const { id } of all) this.#headerValues.set(id, headerValue(id));
    for (const { id, upstreamName = null } of all) if (upstreamName !== null) this.#upstreamNames.set(id, upstreamName);
  }

  /** The name of a model as the value of a header, which has room for ASCII only. */
  headerValueOf(model: ModelId): string {
    return this.#headerValues.get(model) ?? headerValue(model);
  }

  /** What the engine of a model is to be told in the place of what the client has written; null: just that. */
  upstreamNameOf(model: ModelId): string | null {
    return this.#upstreamNames.get(model) ?? null;
  }

  /** Null when there is none of this name. */
  find(name: string): GatewayModel | null {
    return this.#byName.get(name) ?? null;
  }

  /** The model of a request that names none: the only one there is, or what to tell the client. */
  unnamed(where: string): GatewayModel | Failure {
    const [only] = this.all;
    if (only !== undefined && this.all.length === 1) return only;
    return failure("invalid_request", `${where} must name a model in \`model\`, and names none. ${this.#list()}`);
  }

  /** What to tell a client that asked for a model that is not there. */
  notFound(name: string): Failure {
    const shown = name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
    const near = suggest(name, this.#byName.keys());
    const hint = near === undefined ? "" : ` Did you mean ${quote(near)}?`;
    return failure("model_not_found", `The model ${quote(shown)} does not exist.${hint} ${this.#list()}`);
  }

  #list(): string {
    const ids = this.all.slice(0, NAMED_MAX).map(({ id }) => quote(id));
    const more = this.all.length > NAMED_MAX ? ` and ${this.all.length - NAMED_MAX} more` : "";
    return `There are: ${ids.join(", ")}${more}.`;
  }
}

function quote(name: string): string {
  return `\`${name}\``;
}

function headerValue(model: ModelId): string {
  return /^[!-~]+$/.test(model) ? model : encodeURIComponent(model);
}
