import { deepEqual, equal, match } from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  const script = (code: string): readonly string[] => [
    "--input-type=module",
    "-e",
    `const { createLog } = await import(${logModule}); const log = createLog({ level: "info", form: "json" }); ${code}`,
  ];
  const child = (code: string) => spawn(process.execPath, script(code), { stdio: ["ignore", "pipe", "pipe"] });

  it("is whole even when the process ends at once", async () => {
    const { stderr } = child(
      'for (let index = 0; index < 5000; index += 1) log.info("tick", { index }); process.exit(0);',
    );
    const lines = (await text(stderr)).trimEnd().split("\n");
    equal(lines.length, 5000);
    equal((JSON.parse(lines.at(-1) ?? "") as { index: number }).index, 4999);
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

  it("does not end the process when the disk that it goes to is full", { skip: !existsSync("/dev/full") }, () => {
    const full = openSync("/dev/full", "w");
    const code =
      'log.info("tick"); setTimeout(() => { log.info("tock"); log.flush(); process.stdout.write("alive"); }, 50);';
    const { status, stdout } = spawnSync(process.execPath, script(code), { stdio: ["ignore", "pipe", full] });
    closeSync(full);
    equal(status, 0);
    equal(stdout.toString(), "alive");
  });

  it("writes into a file in turn with whatever else goes there", () => {
    const folder = mkdtempSync(join(tmpdir(), "llmux-log-"));
    const path = join(folder, "all.log");
    const file = openSync(path, "w");
    const code = 'log.info("one"); process.stdout.write("two\\n"); log.info("three");';
    spawnSync(process.execPath, script(code), { stdio: ["ignore", file, file] });
    closeSync(file);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    rmSync(folder, { recursive: true });
    deepEqual(
      lines.map((line) => /one|two|three/.exec(line)?.[0]),
      ["one", "two", "three"],
    );
  });

  const stalling = { skip: process.platform === "linux" ? false : "only Linux can open a pipe anew" };
  it("neither holds up the process nor its end when its reader stops reading", stalling, async () => {
    const writer = child(`
      const filler = "x".repeat(1000);
      for (let index = 0; index < 20_000; index += 1) log.info("tick", { filler });
      setTimeout(() => process.stdout.write("alive"), 50);
    `);
    const code = once(writer, "exit");
    equal(await text(writer.stdout), "alive");
    deepEqual(await code, [0, null]);
  });

  it("says how many events were lost once its reader goes on", stalling, async () => {
    const writer = child(`
      const filler = "x".repeat(1000);
      for (let index = 0; index < 20_000; index += 1) log.info("tick", { filler });
      process.stdout.write("full");
      const timer = setInterval(() => log.info("tock"), 20);
      process.on("SIGTERM", () => clearInterval(timer));
    `);
    await once(writer.stdout, "data");
    let out = "";
    for await (const piece of writer.stderr.setEncoding("utf8") as AsyncIterable<string>) {
      out += piece;
      if (out.includes('"log events lost"')) writer.kill("SIGTERM");
    }
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; count?: number });
    const written = events.filter(({ event }) => event === "tick").length;
    const lost = events.reduce((sum, { event, count = 0 }) => sum + (event === "log events lost" ? count : 0), 0);
    equal(lost > 0, true);
    equal(written + lost >= 20_000, true);
  });
});
