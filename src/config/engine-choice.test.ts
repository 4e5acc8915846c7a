import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config, ModelConfig } from "./config.ts";
import { ConfigError, parseConfig } from "./load.ts";
import { planPlacement } from "./placement-plan.ts";

function parse(text: string, env: Readonly<Record<string, string>> = {}): Config {
  return parseConfig(text, "f", env);
}

function model(keys: string, env: Readonly<Record<string, string>> = {}): ModelConfig {
  const [only] = parse(`models:\n  a: ${keys}`, env).models;
  assert.ok(only !== undefined);
  return only;
}

function problem(keys: string): string {
  try {
    parse(`models:\n  a: ${keys}`);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return "none";
}

const levels = (policy: string): number[] => {
  const { models } = parse(
    `policy: {sleep_level: ${policy}}\nmodels: {a: {model_path: x, engine: llama-server}, b: {model_path: x, engine: sglang}, c: {model_path: x}}`,
  );
  return models.map(({ sleepLevel }) => sleepLevel);
};

const atOnce = (engine: string, args: string): number | null =>
  model(`{model_path: x, engine: ${engine}, extra_args: [${args}]}`).maxNumSeqs;

const size = (keys: string): number => model(`{model_path: x, ${keys}}`).parallelSize;

describe("models.*.engine", () => {
  it("that cannot sleep as it is configured is stopped instead", () => {
    assert.equal(model("{model_path: x, engine: sglang, sleep_mode_flag: false}").sleepLevel, 3);
    assert.equal(model("{model_path: x, engine: sglang}").sleepLevel, 1);
  });

  it("is vllm unless something else is said", () => {
    assert.deepEqual(model("{model_path: x}").engine, { kind: "vllm" });
    assert.deepEqual(model("{model_path: x, engine: sglang}").engine, { kind: "sglang" });
  });

  it("reads commands as lists and as texts, and keeps what stands for the port", () => {
    const { engine, sleepLevel, modelPath } = model(
      `{engine: {command: {start: 'docker run --name "my model" -p \${PORT}:80', stop: [docker, stop, my model]}}}`,
    );
    assert.deepEqual(engine, {
      kind: "command",
      start: ["docker", "run", "--name", "my model", "-p", "${PORT}:80"],
      stop: ["docker", "stop", "my model"],
      stopTimeoutMs: 30_000,
      url: "http://127.0.0.1:${PORT}",
      health: { request: "/health" },
      sleep: null,
      wake: null,
    });
    assert.deepEqual([sleepLevel, modelPath], [3, ""]);
  });

  it("puts variables into them as anywhere else", () => {
    const { engine } = model("{engine: {command: {start: [run, '${IMAGE}', '--port=${PORT}']}}}", { IMAGE: "org/i" });
    assert.deepEqual(engine.kind === "command" && engine.start, ["run", "org/i", "--port=${PORT}"]);
    assert.match(
      problem("{model_path: x, extra_args: ['${PORT}']}"),
      /environment variable PORT, found that it is not/,
    );
  });

  it("tells requests from commands", () => {
    const { engine, sleepLevel } = model(
      "{engine: {command: {start: [s, '${PORT}'], health: 'check it', sleep: {post: /release, json: {tags: []}}, wake: 'http://h/w'}}, sleep_level: 2}",
    );
    assert.ok(engine.kind === "command");
    assert.deepEqual(engine.health, { run: ["check", "it"] });
    assert.deepEqual(engine.sleep, { request: "/release", json: { tags: [] } });
    assert.deepEqual(engine.wake, { request: "http://h/w" });
    assert.equal(sleepLevel, 2);
  });

  it("is external without GPUs and without a port, and needs no model_path", () => {
    const { engine, gpus, sleepLevel } = model("{engine: {external: {url: 'https://h:1', api_key_env: K}}}", {
      K: "s",
    });
    assert.deepEqual(engine, {
      kind: "external",
      url: "https://h:1",
      health: { request: "/health" },
      apiKeyVariable: "K",
      sleep: null,
      wake: null,
    });
    assert.deepEqual([gpus, sleepLevel], [[], 3]);
  });

  it("sleeps only as deep as it can, where the policy says how deep", () => {
    assert.deepEqual(
      [levels("1"), levels("2"), levels("3")],
      [
        [3, 1, 1],
        [3, 1, 2],
        [3, 3, 3],
      ],
    );
  });

  it("runs as many requests at once as its own flags say", () => {
    assert.equal(atOnce("llama-server", ""), 4);
    assert.equal(atOnce("llama-server", "-np, 2"), 2);
    assert.equal(atOnce("llama-server", "--parallel=8"), 8);
    assert.equal(atOnce("sglang", "--max-running-requests, 16"), 16);
    assert.equal(atOnce("sglang", ""), null);
    assert.equal(atOnce("vllm", "--parallel, 8"), null);
  });

  it("takes as many GPUs as its own flags ask for, or as it is shown", () => {
    assert.equal(size("engine: sglang, extra_args: [--tp, 2]"), 2);
    assert.equal(size("engine: sglang, extra_args: [--tp-size=4, --dp, 2, --enable-dp-attention]"), 4);
    assert.equal(size("engine: llama-server, gpus: [0, 1]"), 2);
    assert.equal(size("engine: llama-server"), 1);
  });
});

describe("a mistake in models.*.engine", () => {
  const rows: readonly (readonly [what: string, keys: string, message: RegExp])[] = [
    [
      "another name",
      "{model_path: x, engine: vlm}",
      /^f:2:30: models\.a\.engine: expected vllm, sglang, llama-server, or a mapping with command or external, found the text "vlm"$/,
    ],
    [
      "an unknown key",
      "{engine: {comand: {start: [x]}}}",
      /^f:2:16: models\.a\.engine\.comand: unknown key; did you mean command\?/m,
    ],
    [
      "an unknown key inside",
      "{engine: {command: {start: ['${PORT}'], stp: x}}}",
      /^f:2:\d+: models\.a\.engine\.command\.stp: unknown key; did you mean stop\?$/,
    ],
    [
      "a key of the other",
      "{engine: {external: {url: 'http://h', start: x}}}",
      /start: unknown key; it belongs under models\.<name>\.engine\.command$/,
    ],
    [
      "no start",
      "{engine: {command: {stop: x}}}",
      /models\.a\.engine\.command\.start: expected a command: .*, found nothing/,
    ],
    [
      "both",
      "{engine: {command: {start: '${PORT}'}, external: {url: 'http://h'}}}",
      /engine: expected vllm, .* found a mapping/,
    ],
    [
      "an open quote",
      `{engine: {command: {start: "x \${PORT} 'y"}}}`,
      /command\.start: expected a command with all of its quotes closed/,
    ],
    [
      "a path in the url",
      "{engine: {external: {url: 'http://h/v1'}}}",
      /external\.url: expected an http or https URL of a host, without a path, .* found "http:\/\/h\/v1"$/,
    ],
    [
      "sleep without wake",
      "{engine: {external: {url: 'http://h', sleep: /s}}}",
      /external\.sleep: expected wake beside sleep, found only sleep/,
    ],
    [
      "a key that is not there",
      "{engine: {external: {url: 'http://h', api_key_env: NOPE}}}",
      /api_key_env: expected the environment variable NOPE, found that it is not set/,
    ],
    [
      "GPUs that cannot be left",
      "{engine: {external: {url: 'http://h'}}, gpus: [0]}",
      /models\.a\.gpus: expected nothing, or sleep and wake in its engine/,
    ],
    [
      "arguments of nobody",
      "{engine: {external: {url: 'http://h'}}, extra_args: [x]}",
      /extra_args: expected nothing, for an external engine is not started/,
    ],
    [
      "a level that llama-server has not",
      "{model_path: x, engine: llama-server, sleep_level: 1}",
      /sleep_level: expected 3 \(engine stopped\), or nothing, found 1: llama-server cannot sleep$/,
    ],
    [
      "a level that SGLang has not",
      "{model_path: x, engine: sglang, sleep_level: 2}",
      /sleep_level: expected 1 or 3, found 2/,
    ],
    [
      "a level of SGLang without its flag",
      "{model_path: x, engine: sglang, sleep_mode_flag: false, sleep_level: 1}",
      /sleep_level: expected 3 .* without sleep_mode_flag SGLang cannot sleep$/,
    ],
    [
      "a level without orders",
      "{engine: {command: {start: '${PORT}'}}, sleep_level: 1}",
      /sleep_level: expected 3 .* there are no orders/,
    ],
    ["suspend", "{model_path: x, engine: sglang, suspend: true}", /suspend: expected false, found true: only vLLM/],
    [
      "no model_path",
      "{engine: llama-server}",
      /models\.a\.model_path: expected a Hugging Face id or a path, as text, found nothing/,
    ],
    [
      "no GPU for vLLM",
      "{model_path: x, gpus: []}",
      /gpus: expected a list of at least one GPU id, such as \[0\], found a list of 0/,
    ],
  ];
  for (const [what, keys, message] of rows) {
    it(`is said with its place: ${what}`, () => assert.match(problem(keys), message));
  }

  it("is warned of where it may be meant: a start that says nothing of its port", () => {
    const [warning] = parse("models: {a: {engine: {command: {start: [serve]}}}}").warnings;
    assert.equal(warning?.path, "models.a.engine.command.start");
  });
});

describe("a model on no GPU", () => {
  it("has a place of its own, beside those who share a GPU", () => {
    const { models } = parse(
      "models: {a: {model_path: x}, e: {engine: {external: {url: 'http://h'}}}, b: {model_path: x, engine: llama-server, gpus: []}, c: {model_path: x}}",
    );
    for (const gpus of [null, [{ id: "0", memoryBytes: 8 * 2 ** 30 }]]) {
      const { placements, devices, findings } = planPlacement(models, gpus);
      assert.deepEqual(
        placements.map(({ model: name, devices: its }) => [name, its.join()]),
        [
          ["a", "0"],
          ["e", "no GPU: e"],
          ["b", "no GPU: b"],
          ["c", "0"],
        ],
      );
      assert.deepEqual(
        devices.map(({ id }) => id),
        ["0", "no GPU: e", "no GPU: b"],
      );
      assert.deepEqual(findings, []);
    }
  });
});
