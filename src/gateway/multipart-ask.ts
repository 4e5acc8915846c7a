/** What a multipart form asks for: the model that one of its fields names, before or behind files of any size. */
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { failure, type Failure } from "../base/failure.ts";
import type { BodyAsk, BodyForm, BodyScan } from "./body-ask.ts";
import { MultipartPlace } from "./multipart-place.ts";

/** Longer names there are none, in bytes. */
const NAME_BYTES_MAX = 4_096;

/** All headers of a part. */
const HEADER_BYTES_MAX = 16 * 1024;

/** No form has so many fields; each costs a moment. */
const PARTS_MAX = 10_000;

/** The parser takes what it gets at once, since nearly all of it is skipped. If it ever falls behind, it is broken. */
const BACKLOG_BYTES_MAX = 4 * 1024 * 1024;

/** True for the content type of a multipart form. */
export function isMultipart(contentType: string | null): contentType is string {
  return contentType !== null && /^\s*multipart\/form-data\s*(?:;|$)/i.test(contentType);
}

/** Forms with this content type, which has the boundary between their fields. */
export function multipartForm(contentType: string): BodyForm {
  return {
    scan: () => new MultipartScan(contentType),
    write: (name) => Buffer.from(name),
  };
}

/** One form. Its bytes go through a parser for the sake of one field, and the engine gets them from elsewhere, untouched. */
class MultipartScan implements BodyScan {
  #parser: BusboyInstance | null = null;
  readonly #models: string[] = [];
  readonly #place: MultipartPlace;
  #failure: Failure | null = null;
  #parts = 0;
  #onFinish: (() => void) | null = null;
  #isFinished = false;

  constructor(contentType: string) {
    this.#place = new MultipartPlace(contentType);
    if (!/boundary\s*=/i.test(contentType)) this.#refuse("The content-type of the form has no boundary.");
    else this.#open(contentType);
  }

  push(chunk: Buffer): void {
    if (this.#failure !== null || this.#parser === null) return;
    this.#parser.write(chunk);
    this.#place.push(chunk);
    if (this.#parser.writableLength > BACKLOG_BYTES_MAX) this.#refuse("The form cannot be read.");
  }

  end(done: (ask: BodyAsk | Failure) => void): void {
    const tell = (): void => done(this.#result());
    if (this.#failure !== null || this.#parser === null) return tell();
    // The last field is told a moment after its end.
    this.#onFinish = tell;
    this.#parser.end();
  }

  #open(contentType: string): void {
    try {
      const parser = new Busboy({
        headers: { "content-type": contentType },
        limits: { fieldSize: NAME_BYTES_MAX, headerSize: HEADER_BYTES_MAX },
        // Files are skipped, since nobody listens for them; and so is every field but the one that is looked for.
        isPartAFile: (field, _type, fileName) => !this.#isWanted(field, fileName),
      });
      parser.on("field", (_name, value, _isNameCut, isCut) => this.#onModel(value, isCut));
      parser.on("finish", () => this.#finish());
      parser.on("error", () => {
        this.#refuse("The form is broken, or ends too early.");
        this.#finish();
      });
      this.#parser = parser;
    } catch {
      this.#refuse("The content-type of the form has no valid boundary.");
    }
  }

  #isWanted(field: string | undefined, fileName: string | undefined): boolean {
    this.#parts += 1;
    if (this.#parts > PARTS_MAX) this.#refuse(`The form has more than ${PARTS_MAX} fields.`);
    if (field !== "model") return false;
    if (fileName !== undefined) this.#refuse("`model` must be a text, and it is a file.");
    return fileName === undefined && this.#failure === null;
  }

  #onModel(value: string, isCut: boolean): void {
    if (isCut) this.#refuse("`model` is too long to be the name of a model.");
    this.#models.push(value);
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#onFinish?.();
  }

  #result(): BodyAsk | Failure {
    if (this.#failure !== null) return this.#failure;
    const [model] = this.#models;
    if (this.#models.length > 1) return invalid("`model` is given more than once.");
    if (model === "") return invalid("`model` is empty.");
    if (model === undefined) return { model: null, wantsStream: false };
    const placed = this.#place.result();
    // Two parsers that do not agree: then nobody knows.
    const isSame = placed !== null && placed.value.toString() === model;
    return { model, wantsStream: false, ...(isSame ? { modelAt: placed.at } : {}) };
  }

  #refuse(message: string): void {
    this.#failure ??= invalid(message);
  }
}

function invalid(message: string): Failure {
  return failure("invalid_request", message);
}
