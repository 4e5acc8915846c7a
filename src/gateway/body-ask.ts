/** What the gateway wants to know from a request's body, in whatever form it comes. */
import type { Failure } from "../base/failure.ts";

/** What a body asks for. */
export interface BodyAsk {
  /** The name of the model as the client wrote it; null where the body names none. */
  readonly model: string | null;
  /** Whether the answer is wanted as an event stream. */
  readonly wantsStream: boolean;
  /** Where the name stands, as written; absent where it cannot be told. */
  readonly modelAt?: ByteSpan;
}

/** Some bytes of a body, from the first to behind the last. */
export interface ByteSpan {
  readonly from: number;
  readonly to: number;
}

/** Reads a body as it comes, or whole, without keeping it. */
export interface BodyScan {
  push(chunk: Buffer): void;
  /** The body is over. `done` is called once, perhaps before this returns. */
  end(done: (ask: BodyAsk | Failure) => void): void;
}

/** One form that bodies have. */
export interface BodyForm {
  /** Begins to read one. */
  scan(): BodyScan;
  /** A name as it is written in the place of another. */
  write(name: string): Buffer;
}

/** Tells nothing. */
export const NO_ASK: BodyAsk = { model: null, wantsStream: false };

const NO_SCAN: BodyScan = { push: () => {}, end: (done) => done(NO_ASK) };

/** A body that nobody looks into. */
export const OPAQUE_FORM: BodyForm = {
  scan: () => NO_SCAN,
  write: (name) => Buffer.from(name),
};
