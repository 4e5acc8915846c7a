import { deepEqual, equal, match } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { REDACTED } from "../base/redact.ts";
import { createLog, logFormFor, type LogOptions } from "./log.ts";

function collect(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({ level: "debug", form: "json", ...options, write: (line) => lines.push(line) });
  return { log, lines, events: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

function readable(fields: Record<string, unknown>, form: LogOptions["form"] = "readable"): string {
  const { log, lines } = collect({ form });
  log.warn("request refused", fields);
  return lines.join("");
}

describe("the log as JSON", () => {
  it("writes one object a line, with level, time, event and the facts", () => {
    const { log, lines, events } = collect();
    log.info("model awake", { model: "a", took_ms: 12 });
    equal(lines.length, 1);
    equal(lines[0]?.endsWith("}\n"), true);
    const { time, ...rest } = events()[0] ?? {};
    deepEqual(rest, { level: "info", event: "model awake", model: "a", took_ms: 12 });
    match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it("leaves out what is less severe than its level", () => {
    const { log, events } = collect({ level: "warn" });
    log.debug("one");
    log.info("two");
    log.warn("three");
    log.error("four");
    deepEqual(
      events().map(({ event }) => event),
      ["three", "four"],
    );
  });

  it("writes no secret, wherever it stands", () => {
    const { log, lines } = collect();
    log.info("engine starting", {
      command: ["vllm", "serve", "m", "--api-key", "s3cret"],
      env: { HF_TOKEN: "s3cret", A: "1" },
      reason: "exit: OPENAI_API_KEY=s3cret is wrong",
      last_output: ["args: {'api_key': ['s3cret']}"],
      nested: { more: [{ hf_token: "s3cret" }] },
      error: new Error("Bearer s3cret"),
    });
    equal(lines.join("").includes("s3cret"), false);
    equal(lines.join("").split(REDACTED).length - 1, 6);
  });

  it("writes errors as their messages and survives what JSON cannot hold", () => {
    const { log, events } = collect();
    const loop: Record<string, unknown> = {};
    loop["self"] = loop;
    log.warn("odd", { error: new Error("broken", { cause: new Error("deeper") }), big: 12n, loop });
    equal(events()[0]?.["error"], "broken: deeper");
    equal(events()[0]?.["big"], "12");
  });
});

describe("the log on a terminal", () => {
  it("is one readable line an event", () => {
    match(
      readable({ model: "a", waited_ms: 61_000, reason: "out of memory", model_or: null, ids: [1, 2] }),
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}request refused model=a waited=1m01s reason="out of memory" ids=1,2\n$/,
    );
  });

  it("has the engine's last output below the event", () => {
    match(readable({ last_output: ["one", "two"] }), / request refused\n {4}one\n {4}two\n$/);
  });

  it("has colours only where they are wanted", () => {
    equal(readable({ a: "b" }).includes("\u001b"), false);
    equal(readable({ a: "b" }, "readable in colour").includes("\u001b["), true);
  });

  it("lets nothing in an event control the terminal", () => {
    const line = readable({ model: "a\u001b[2Jb\u202ec\nd", last_output: ["x\u0007\u009by"] });
    for (const character of "\u0007\u001b\u009b\u202e") equal(line.includes(character), false);
    equal(line.split("\n").length, 3);
  });
});

describe("the form of the log", () => {
  it("is JSON where nobody watches, readable on a terminal, without colours if NO_COLOR says so", () => {
    equal(logFormFor({}, {}), "json");
    equal(logFormFor({ isTTY: false }, { FORCE_COLOR: "1" }), "json");
    equal(logFormFor({ isTTY: true }, {}), "readable in colour");
    equal(logFormFor({ isTTY: true }, { NO_COLOR: "" }), "readable in colour");
    equal(logFormFor({ isTTY: true }, { NO_COLOR: "1" }), "readable");
    equal(logFormFor({ isTTY: true }, { TERM: "dumb" }), "readable");
  });
});

describe("the log on stderr", () => {
  const logModule = JSON.stringify(new URL("log.ts", import.meta.url).href);
  const child = (code: string) => {
    const script = `const { createLog } = await import(${logModule}); const log = createLog({ level: "info", form: "json" }); ${code}`;
    return spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
  };

  it("is whole even when the process ends at once", async () => {
    const { stderr } = child(
      'for (let index = 0; index < 1000; index += 1) log.info("tick", { index }); process.exit(0);',
    );
    const lines = (await text(stderr)).trimEnd().split("\n");
    equal(lines.length, 1000);
    equal((JSON.parse(lines.at(-1) ?? "") as { index: number }).index, 999);
  });

  it("does not end the process when nobody reads it any more", async () => {
    const writer = child(`
      process.stdout.write("ready");
      const timer = setInterval(() => log.info("tick"), 5);
      setTimeout(() => { clearInterval(timer); process.stdout.write("alive"); }, 500);
    `);
    await once(writer.stdout, "data");
    writer.stderr.destroy();
    const rest = text(writer.stdout);
    const [code] = await once(writer, "exit");
    equal(code, 0);
    equal(await rest, "alive");
  });

  it("does not hold up the process when its reader stops reading", async () => {
    const writer = child(`
      const filler = "x".repeat(1000);
      for (let index = 0; index < 20_000; index += 1) log.info("tick", { filler });
      setTimeout(() => { process.stdout.write("alive"); process.kill(process.pid, "SIGKILL"); }, 50);
    `);
    writer.stderr.pause();
    equal(await text(writer.stdout), "alive");
  });
});
