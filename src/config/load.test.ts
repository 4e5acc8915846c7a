import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, describe, it } from "node:test";
import { ConfigError, loadConfig, parseConfig } from "./load.ts";

const least = "models: {a: {model_path: org/a}}\n";

function parse(text: string, env: Readonly<Record<string, string>> = { HOME: "/home/ada" }) {
  return parseConfig(text, "llmux.yaml", env);
}

describe("parseConfig", () => {
  it("fills in every default of a configuration that names one model only", () => {
    assert.deepEqual(parse(least), {
      host: "127.0.0.1",
      port: 3000,
      workers: 1,
      metricsPort: 9090,
      metricsHost: "127.0.0.1",
      apiKeys: [],
      adminKeyHash: null,
      tls: null,
      limits: {
        connectionsMax: 16_384,
        headerBytesMax: 16_384,
        headerTimeoutMs: 30_000,
        bodyTimeoutMs: 300_000,
        keepAliveMs: 75_000,
        clientStallMs: 120_000,
      },
      vllmCommand: ["vllm"],
      sglangCommand: ["python", "-m", "sglang.launch_server"],
      llamaServerCommand: ["llama-server"],
      nvidiaSmiCommand: ["nvidia-smi"],
      stateDir: "/home/ada/.local/state/llmux",
      shutdownTimeoutMs: 30_000,
      heartbeatMs: 15_000,
      maxBodyBytes: 64 * 2 ** 20,
      logLevel: "info",
      recordTrace: null,
      gpus: null,
      hostMemoryForSleepBytes: null,
      policy: {
        policyType: "bounded-wait",
        requestTimeoutMs: 60_000,
        drainBeforeSwitch: true,
        drainTimeoutMs: null,
        drainBudgetMs: null,
        queueMax: 2000,
        queueTotalMax: 10_000,
        idleSleepMs: null,
        idleStopMs: null,
        targetWaitMs: 25_000,
        maxWaitMs: 120_000,
        forcedShare: 0.1,
        sleepLevel: 1,
      },
      engineTimeouts: { sleepTimeoutMs: 120_000, wakeTimeoutMs: 30_000, reloadTimeoutMs: 60_000, stopGraceMs: 10_000 },
      models: [
        {
          name: "a",
          modelPath: "org/a",
          engine: { kind: "vllm" },
          aliases: [],
          upstreamModel: null,
          port: null,
          gpus: null,
          inFlightMax: null,
          maxNumSeqs: null,
          gpuMemoryUtilization: null,
          parallelSize: 1,
          gpuMemoryBytes: null,
          hostMemoryBytes: null,
          pinned: false,
          preload: false,
          priority: "normal",
          canSuspend: false,
          queueMax: 2000,
          sleepLevel: 1,
          sleepModeFlag: true,
          extraArgs: [],
          env: {},
          startupTimeoutMs: 1_800_000,
          simulate: null,
        },
      ],
      warnings: [],
    });
  });

  it("takes every key of a model", () => {
    const config = parse(`
models:
  b:
    model_path: /models/b
    aliases: [gpt-4o-mini, org/b:latest]
    upstream_model: org/b-7b
    port: 8001
    gpus: [1, 0]
    sleep_level: 2
    sleep_mode_flag: false
    extra_args: [--max-num-seqs, "32", --gpu-memory-utilization=0.5, -tp, 2]
    gpu_memory: 40GiB
    host_memory: 30 GB
    pin: true
    preload: false
    priority: low
    suspend: true
    max_in_flight: 24
    max_queued: 10
    env: {HF_HUB_OFFLINE: "1"}
    startup_timeout_secs: 1h30m
    simulate: {itl_ms: 12.5, prefill_tokens_per_s: 8000, sleep_s: 1.2, cold_s: 1m30s}
`);
    assert.deepEqual(config.models, [
      {
        name: "b",
        modelPath: "/models/b",
        engine: { kind: "vllm" },
        aliases: ["gpt-4o-mini", "org/b:latest"],
        upstreamModel: "org/b-7b",
        port: 8001,
        gpus: [1, 0],
        inFlightMax: 24,
        maxNumSeqs: 32,
        gpuMemoryUtilization: 0.5,
        parallelSize: 2,
        gpuMemoryBytes: 40 * 2 ** 30,
        hostMemoryBytes: 30_000_000_000,
        pinned: true,
        preload: false,
        priority: "low",
        canSuspend: true,
        queueMax: 10,
        sleepLevel: 2,
        sleepModeFlag: false,
        extraArgs: ["--max-num-seqs", "32", "--gpu-memory-utilization=0.5", "-tp", "2"],
        env: { HF_HUB_OFFLINE: "1" },
        startupTimeoutMs: 5_400_000,
        simulate: { itlMs: 12.5, prefillTokensPerSecond: 8000, sleepMs: 1200, wakeMs: 2000, coldMs: 90_000 },
      },
    ]);
  });

  it("gives a model without a sleep level the policy's, and leaves one that has its own", () => {
    const config = parse("policy: {sleep_level: 2}\nmodels: {a: {model_path: x}, b: {model_path: y, sleep_level: 3}}");
    assert.deepEqual(
      config.models.map((model) => model.sleepLevel),
      [2, 3],
    );
  });

  it("lets another policy take the place of the file's, and checks it like the file's", () => {
    const text = `policy: {policy_type: nonsense, min_active_secs: 7}\n${least}`;
    const { policy } = parseConfig(text, "f", {}, { policyType: "fifo" });
    assert.ok(policy.policyType === "fifo");
    assert.equal(policy.minActiveMs, 7000);
    assert.throws(() => parseConfig(least, "f", {}, { policyType: "lifo" }), {
      message: /policy\.policy_type: expected a policy: .*, found the text "lifo"$/,
    });
  });

  it("takes durations as numbers, fractions and texts", () => {
    const { policy } = parse(
      `policy: {policy_type: fifo, request_timeout_secs: 300, min_active_secs: 0.5, drain_timeout_secs: 1m30s}\n${least}`,
    );
    assert.ok(policy.policyType === "fifo");
    assert.deepEqual([policy.requestTimeoutMs, policy.minActiveMs, policy.drainTimeoutMs], [300_000, 500, 90_000]);
  });

  it("takes every key about memory, and what is recorded", () => {
    const config = parse(`gpus: {1: 80GiB, 0: 1.5TiB}\nhost_memory_for_sleep: 64GB\nrecord_trace: ~/t.csv\n${least}`);
    assert.deepEqual(config.gpus, [
      { id: "0", memoryBytes: 1.5 * 2 ** 40 },
      { id: "1", memoryBytes: 80 * 2 ** 30 },
    ]);
    assert.equal(config.hostMemoryForSleepBytes, 64e9);
    assert.equal(config.recordTrace, "/home/ada/t.csv");
    assert.equal(parse(`record_trace: t.csv\n${least}`).recordTrace, resolve("t.csv"));
  });

  it("preloads as a model says, else what is pinned, else as the top level says", () => {
    const keys = ["", "pin: true", "preload: true", "pin: true, preload: false", "preload: false"];
    const models = keys.map((key, index) => `m${index}: {model_path: x, ${key}}`).join(", ");
    const preloaded = (top: string): readonly boolean[] =>
      parse(`${top}\nmodels: {${models}}`).models.map((model) => model.preload);
    assert.deepEqual(preloaded("preload: false"), [false, true, true, false, false]);
    assert.deepEqual(preloaded("preload: true"), [true, true, true, false, false]);
  });

  it("lets as many wait for a model as it says, else as the policy says", () => {
    const config = parse(
      "policy: {max_queued: 7, max_queued_total: 9}\nmodels: {a: {model_path: x}, b: {model_path: y, max_queued: 8}}",
    );
    assert.deepEqual([config.policy.queueTotalMax, ...config.models.map(({ queueMax }) => queueMax)], [9, 7, 8]);
  });

  it("takes sizes as numbers and texts", () => {
    assert.equal(parse(`max_body_bytes: 1000\n${least}`).maxBodyBytes, 1000);
    assert.equal(parse(`max_body_bytes: 2GiB\n${least}`).maxBodyBytes, 2 ** 31);
  });

  it("takes a command as one program, spaces and all, or as a list", () => {
    assert.deepEqual(parse(`vllm_command: /opt/my vllm\n${least}`).vllmCommand, ["/opt/my vllm"]);
    assert.deepEqual(parse(`nvidia_smi_command: [a, b]\n${least}`).nvidiaSmiCommand, ["a", "b"]);
  });

  it("passes numbers and booleans in arguments and variables on as they are written", () => {
    const [model] = parse(
      "models: {a: {model_path: x, extra_args: [-u, 0.90, 0x10, true], env: {A: 1_0, B: 1e3}}}",
    ).models;
    assert.deepEqual(model?.extraArgs, ["-u", "0.90", "0x10", "true"]);
    assert.deepEqual(model.env, { A: "1_0", B: "1e3" });
  });

  it("makes paths of state_dir absolute", () => {
    assert.equal(parse(`state_dir: "~"\n${least}`).stateDir, "/home/ada");
    assert.equal(parse(`state_dir: ~/x/../y\n${least}`).stateDir, "/home/ada/y");
    assert.equal(parse(`state_dir: state\n${least}`).stateDir, resolve("state"));
    assert.equal(parse(`state_dir: /var/lib/llmux\n${least}`).stateDir, "/var/lib/llmux");
    assert.equal(parse(`state_dir: ~/x\n${least}`, {}).stateDir, join(homedir(), "x"));
  });

  it("takes JSON, YAML with anchors, and a file that begins with a byte order mark", () => {
    assert.equal(parse('{"port": 8080, "models": {"a": {"model_path": "x"}}}').port, 8080);
    assert.equal(parse(`\uFEFF${least}`).models.length, 1);
    const config = parse("models:\n  a: {model_path: x, env: &env {K: v}}\n  b: {model_path: y, env: *env}\n");
    assert.deepEqual(config.models[1]?.env, { K: "v" });
  });

  it("lets what the command line says take the place of the file's host and port, and checks it with the rest", () => {
    const file = "host: 127.0.0.2\nport: 3001\nmodels: {a: {model_path: x, port: 8001}}";
    const config = parseConfig(file, "f", {}, { host: "0.0.0.0", port: 3002 });
    assert.deepEqual([config.host, config.port], ["0.0.0.0", 3002]);
    assert.match(config.warnings[0]?.message ?? "", /^host: expected a loopback address .*, found "0\.0\.0\.0"/);
    assert.throws(() => parseConfig(file, "f", {}, { port: 8001 }), {
      message: "f:3:35: models.a.port: expected a port that nothing else uses, found 8001, which is also port",
    });
    assert.throws(() => parseConfig(least, "f", {}, { port: 0 }), /f:1:1: port: expected a port between 1 and 65535/);
    assert.equal(parseConfig(least, "f", {}, {}).port, 3000);
  });

  it("leaves the key that tells editors the schema alone", () => {
    assert.equal(parse(`$schema: ./llmux.schema.json\n${least}`).models.length, 1);
  });

  it("allows any number of models without a port, and metrics that are off", () => {
    assert.equal(parse("metrics_port: 0\nmodels: {a: {model_path: x}, b: {model_path: y}}").metricsPort, 0);
  });

  for (const host of ["localhost", "127.0.0.2", "::1", "::ffff:127.0.0.1"]) {
    it(`takes ${host} for loopback`, () => assert.deepEqual(parse(`host: "${host}"\n${least}`).warnings, []));
  }

  for (const host of ["0.0.0.0", "::", "192.168.1.5", "gpu-box.example.org", "127.example.org"]) {
    it(`warns that ${host} is not loopback`, () => {
      const [warning, ...more] = parse(`\nhost: "${host}"\nmetrics_port: 0\n${least}`).warnings;
      assert.deepEqual(more, []);
      assert.deepEqual([warning?.file, warning?.line, warning?.column, warning?.path], ["llmux.yaml", 2, 7, "host"]);
      assert.match(warning?.message ?? "", /^host: expected a loopback address .*, found "/);
    });
  }

  it("warns where --served-model-name leaves out a name of the model", () => {
    const [warning, ...more] = parse(
      "models:\n  a:\n    model_path: x\n    aliases: [b, c]\n    extra_args: [--served-model-name, a, b, --seed, 1]\n",
    ).warnings;
    assert.deepEqual(more, []);
    assert.deepEqual([warning?.line, warning?.column, warning?.path], [5, 18, "models.a.extra_args[0]"]);
    assert.match(warning?.message ?? "", /found that c is missing/);
  });

  it("asks of --served-model-name only what requests will carry", () => {
    const model = "models: {a: {model_path: x, aliases: [b], upstream_model: c, extra_args: [--served-model-name, ";
    assert.deepEqual(parse(`${model}c]}}`).warnings, []);
    assert.match(
      parse(`${model}a, b]}}`).warnings[0]?.message ?? "",
      /to list upstream_model, found that c is missing/,
    );
  });

  it("does not warn where --served-model-name lists all names of the model", () => {
    for (const args of ["--served-model-name, b, a", "--served_model_name=x, --served-model-name, a, b"]) {
      assert.deepEqual(parse(`models: {a: {model_path: x, aliases: [b], extra_args: [${args}]}}`).warnings, []);
    }
    assert.deepEqual(parse("models: {a: {model_path: x, extra_args: [--served-model-name=a]}}").warnings, []);
  });

  it("warns of a flag and its value in one argument, and not of what only looks so", () => {
    const warned = parse('models: {a: {model_path: x, extra_args: ["--max-model-len 4096"]}}').warnings;
    assert.match(
      warned[0]?.message ?? "",
      /found --max-model-len and its value in one; write \[--max-model-len, 4096\]$/,
    );
    const fine = 'models: {a: {model_path: x, extra_args: [--a, "b c", "--d=e f", "--g "]}}';
    assert.deepEqual(parse(fine).warnings, []);
  });
});

describe("loadConfig", () => {
  const folder = mkdtempSync(join(tmpdir(), "llmux-config-"));
  after(() => rmSync(folder, { recursive: true }));

  it("reads a file, and names it in problems", () => {
    const file = join(folder, "some.yaml");
    writeFileSync(file, `${least}\nport: no`);
    assert.throws(() => loadConfig(file, {}), {
      name: "ConfigError",
      message: /some\.yaml:3:7: port: expected a port/,
    });
    writeFileSync(file, least);
    assert.equal(loadConfig(file, {}).models.length, 1);
  });

  for (const [what, path, message] of [
    ["a file that is not there", join(folder, "none.yaml"), "expected a configuration file, found no such file"],
    ["a directory", folder, "expected a configuration file, found a directory"],
    [
      "a path below a file",
      join(import.meta.filename, "x"),
      /^expected a configuration file that can be read: ENOTDIR/,
    ],
    ["a path with a NUL", "a\0b", /^expected a configuration file that can be read/],
  ] as const) {
    it(`refuses ${what} by its path`, () => {
      assert.throws(
        () => loadConfig(path, {}),
        (error) => {
          assert.ok(error instanceof ConfigError);
          const [problem] = error.problems;
          assert.equal(error.message, `${path}:1:1: ${problem?.message}`);
          if (typeof message === "string") assert.equal(problem?.message, message);
          else assert.match(problem?.message ?? "", message);
          return true;
        },
      );
    });
  }

  it("refuses a file that is far too large to be a configuration", () => {
    const file = join(folder, "large.yaml");
    writeFileSync(file, `${least}#${"x".repeat(4 * 2 ** 20)}`);
    assert.throws(() => loadConfig(file, {}), { name: "ConfigError", message: /at most 4194304 bytes, found \d+/ });
  });
});
