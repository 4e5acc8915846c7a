import { equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { LogText } from "./log-text.ts";

function shown(...pieces: readonly (string | Uint8Array)[]): string {
  const text = new LogText();
  const lines = pieces.map((piece) => text.push(typeof piece === "string" ? Buffer.from(piece) : piece));
  return lines.join("") + text.end();
}

describe("an engine's output", () => {
  it("comes out in whole lines, without colours, however it was cut into pieces", () => {
    const raw = "\u001b[36mINFO\u001b[0m one\r\ntwo ü\n\u001b]0;title\u0007three";
    const bytes = Buffer.from(raw);
    for (let at = 0; at <= bytes.length; at += 1) {
      equal(shown(bytes.subarray(0, at), bytes.subarray(at)), "INFO one\ntwo ü\nthree\n", `cut at ${at}`);
    }
  });

  it("keeps of a progress bar that is over its last state", () => {
    equal(shown("Loading:  0%\rLoading: 50%\rLoading: 100%\nnext\n"), "Loading: 100%\nnext\n");
  });

  it("shows a progress bar that grows, each state once", () => {
    const text = new LogText();
    text.push(Buffer.from("whole\nLoading:  0%\rLoading: 50%"));
    equal(text.bar(), "Loading: 50%\n");
    equal(text.bar(), "");
    text.push(Buffer.from("\rLoading: 75%"));
    equal(text.bar(), "Loading: 75%\n");
    equal(text.push(Buffer.from("\rLoading: 100%\n")), "Loading: 100%\n");
    equal(text.bar(), "");
  });

  it("has no control characters left but tabs", () => {
    equal(shown("a\u0007b\u0008c\td\u0000e\n"), "abc\tde\n");
  });

  it("does not keep a line without an end in memory", () => {
    const text = new LogText();
    equal(text.push(Buffer.alloc(100_000, "x")).length > 60_000, true);
    equal(text.end().length < 40_000, true);
  });
});
