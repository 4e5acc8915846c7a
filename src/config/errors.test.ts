/** Every mistake that a configuration can contain, the place it is reported at, and what is said. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorLines } from "./testing/error-lines.ts";

const a = "models: {a: {model_path: x}}";

/** [what is wrong, the file, the whole of what is said]. */
const mistakes: readonly (readonly [string, string, ...string[]])[] = [
  ["no models key", "port: 8080", "f:1:1: models: expected a mapping of model names to models, found nothing"],
  [
    "an empty models key",
    "port: 8080\nmodels:",
    "f:2:8: models: expected a mapping of model names to models, found nothing",
  ],
  ["no model", "models: {}", "f:1:9: models: expected at least one model, found none"],
  ["models as a list", "models: [a]", "f:1:9: models: expected a mapping of model names to models, found a list of 1"],
  ["a model that is nothing", "models:\n  a:", "f:2:5: models.a: expected a mapping of keys to values, found nothing"],
  [
    "no model_path",
    "models:\n  a: {port: 8001}",
    "f:2:3: models.a.model_path: expected a Hugging Face id or a path, as text, found nothing",
  ],
  [
    "an empty model_path",
    "models: {a: {model_path: ''}}",
    "f:1:26: models.a.model_path: expected a Hugging Face id or a path, as text, found an empty text",
  ],
  ["an unknown key", `prot: 1\n${a}`, "f:1:1: prot: unknown key; did you mean port?"],
  [
    "an unknown key of the policy",
    `policy: {min_active: 1}\n${a}`,
    "f:1:10: policy.min_active: unknown key; did you mean min_active_secs?",
  ],
  [
    "an unknown key of a model",
    "models:\n  a:\n    model_path: x\n    extra_arg: []",
    "f:4:5: models.a.extra_arg: unknown key; did you mean extra_args?",
  ],
  [
    "an unknown key of the timeouts",
    `engine_timeouts: {wake_secs: 1}\n${a}`,
    "f:1:19: engine_timeouts.wake_secs: unknown key; did you mean wake_timeout_secs?",
  ],
  [
    "an unknown key of an engine's speed",
    "models: {a: {model_path: x, simulate: {itl: 1, itl_ms: 0, prefill_tokens_per_s: 1}}}",
    "f:1:40: models.a.simulate.itl: unknown key; did you mean itl_ms?",
    "f:1:56: models.a.simulate.itl_ms: expected a number of milliseconds, more than 0, found 0",
  ],
  [
    "an engine's speed without its figures",
    "models: {a: {model_path: x, simulate: {sleep_s: 1}}}",
    "f:1:29: models.a.simulate.itl_ms: expected a number of milliseconds, more than 0, found nothing",
    "f:1:29: models.a.simulate.prefill_tokens_per_s: expected a number of tokens a second, more than 0, found nothing",
  ],
  [
    "a key in the wrong place",
    `min_active_secs: 1\n${a}`,
    "f:1:1: min_active_secs: unknown key; it belongs under policy",
  ],
  [
    "a key like no other",
    `policy: {temperature: 1}\n${a}`,
    "f:1:10: policy.temperature: unknown key; expected one of policy_type, request_timeout_secs, drain_before_switch, drain_timeout_secs, drain_budget_secs, min_active_secs, target_wait_secs, max_wait_secs, forced_share, max_queued, max_queued_total, idle_sleep_secs, idle_stop_secs, sleep_level",
  ],
  ["a port in quotes", `port: "3000"\n${a}`, 'f:1:7: port: expected a port between 1 and 65535, found the text "3000"'],
  ["a port of 0", `port: 0\n${a}`, "f:1:7: port: expected a port between 1 and 65535, found 0"],
  [
    "a port too large",
    "models: {a: {model_path: x, port: 65536}}",
    "f:1:35: models.a.port: expected a port between 1 and 65535, found 65536",
  ],
  ["a port of a half", `port: 1.5\n${a}`, "f:1:7: port: expected a port between 1 and 65535, found 1.5"],
  [
    "a metrics port below 0",
    `metrics_port: -1\n${a}`,
    "f:1:15: metrics_port: expected a port between 1 and 65535, or 0 for no metrics listener, found -1",
  ],
  ["no workers", `workers: 0\n${a}`, "f:1:10: workers: expected a whole number between 1 and 64, found 0"],
  [
    "two models on one port",
    "models:\n  a: {model_path: x, port: 8001}\n  b: {model_path: y, port: 8001}",
    "f:3:28: models.b.port: expected a port that nothing else uses, found 8001, which is also models.a.port",
  ],
  [
    "a model on the gateway's port",
    `port: 8001\nmodels: {a: {model_path: x, port: 8001}}`,
    "f:2:35: models.a.port: expected a port that nothing else uses, found 8001, which is also port",
  ],
  [
    "a model on the gateway's default port",
    "models: {a: {model_path: x, port: 3000}}",
    "f:1:35: models.a.port: expected a port that nothing else uses, found 3000, which is also port",
  ],
  [
    "the gateway on the metrics' default port",
    `port: 9090\n${a}`,
    "f:1:7: port: expected a port that nothing else uses, found 9090, which is also metrics_port",
  ],
  [
    "metrics on the gateway's port",
    `port: 80\nmetrics_port: 80\n${a}`,
    "f:2:15: metrics_port: expected a port that nothing else uses, found 80, which is also port",
  ],
  [
    "an alias that is a model",
    "models:\n  a: {model_path: x, aliases: [b]}\n  b: {model_path: y}",
    'f:2:32: models.a.aliases[0]: expected a name that no model has, found "b", which is a model',
  ],
  [
    "an alias that is the model itself",
    "models: {a: {model_path: x, aliases: [a]}}",
    'f:1:39: models.a.aliases[0]: expected a name that no model has, found "a", which is a model',
  ],
  [
    "an alias of two models",
    "models:\n  a: {model_path: x, aliases: [c]}\n  b: {model_path: y, aliases: [c]}",
    'f:3:32: models.b.aliases[0]: expected each alias once, found "c", already an alias of "a"',
  ],
  [
    "an alias given twice",
    "models: {a: {model_path: x, aliases: [c, c]}}",
    'f:1:42: models.a.aliases[1]: expected each alias once, found "c", already an alias of "a"',
  ],
  [
    "an alias with a space",
    "models: {a: {model_path: x, aliases: [c d]}}",
    'f:1:39: models.a.aliases[0]: expected a model name without spaces and control characters, found "c d"',
  ],
  [
    "an upstream name with a space",
    "models: {a: {model_path: x, upstream_model: c d}}",
    'f:1:45: models.a.upstream_model: expected a model name without spaces and control characters, found "c d"',
  ],
  [
    "a sleep level of 4",
    "models: {a: {model_path: x, sleep_level: 4}}",
    "f:1:42: models.a.sleep_level: expected 1 (weights in host RAM), 2 (weights discarded) or 3 (engine stopped), found 4",
  ],
  [
    "a policy's sleep level of 0",
    `policy: {sleep_level: 0}\n${a}`,
    "f:1:23: policy.sleep_level: expected 1 (weights in host RAM), 2 (weights discarded) or 3 (engine stopped), found 0",
  ],
  [
    "an unknown policy",
    `policy: {policy_type: lifo}\n${a}`,
    'f:1:23: policy.policy_type: expected a policy: bounded-wait or fifo, found the text "lifo"',
  ],
  [
    "a policy that is a word",
    `policy: fifo\n${a}`,
    'f:1:9: policy: expected a mapping of keys to values, found the text "fifo"',
  ],
  [
    "a boolean in quotes",
    `policy: {drain_before_switch: "no"}\n${a}`,
    'f:1:31: policy.drain_before_switch: expected true or false, found the text "no"',
  ],
  [
    "an unknown log level",
    `log_level: trace\n${a}`,
    'f:1:12: log_level: expected a log level: debug, info, warn or error, found the text "trace"',
  ],
  [
    "a host with a scheme",
    `host: http://x\n${a}`,
    'f:1:7: host: expected a host name or an IP address, without scheme or port, found the text "http://x"',
  ],
  [
    "a host with a port",
    `host: 127.0.0.1:80\n${a}`,
    'f:1:7: host: expected a host name or an IP address, without scheme or port, found the text "127.0.0.1:80"',
  ],
  [
    "a host that is no address",
    `host: 127.0.0.256\n${a}`,
    'f:1:7: host: expected a host name or an IP address, without scheme or port, found the text "127.0.0.256"',
  ],
  [
    "an empty host",
    `host: ""\n${a}`,
    "f:1:7: host: expected a host name or an IP address, without scheme or port, found an empty text",
  ],
  [
    "an empty command",
    `vllm_command: []\n${a}`,
    "f:1:15: vllm_command: expected a program, or a list of a program and its leading arguments, found a list of 0",
  ],
  [
    "a command of numbers",
    `vllm_command: 5\n${a}`,
    "f:1:15: vllm_command: expected a program, or a list of a program and its leading arguments, found 5",
  ],
  [
    "somebody else's home directory",
    `state_dir: ~ada/x\n${a}`,
    'f:1:12: state_dir: expected the path of a folder; ~ alone or before a / is the home directory, found the text "~ada/x"',
  ],
  [
    "a size without a unit that exists",
    `max_body_bytes: 64M\n${a}`,
    'f:1:17: max_body_bytes: expected a size: a number of bytes, at least 1, or a text such as 512KiB, 64MiB, 1GiB, found the text "64M"',
  ],
  [
    "a size of nothing",
    `max_body_bytes: 0\n${a}`,
    "f:1:17: max_body_bytes: expected a size: a number of bytes, at least 1, or a text such as 512KiB, 64MiB, 1GiB, found 0",
  ],
  [
    "an argument that is no text",
    "models: {a: {model_path: x, extra_args: [--seed, [1]]}}",
    "f:1:50: models.a.extra_args[1]: expected an argument, as text, found a list of 1",
  ],
  [
    "an argument that is nothing",
    "models:\n  a:\n    model_path: x\n    extra_args:\n      - --seed\n      -",
    "f:6:8: models.a.extra_args[1]: expected an argument, as text, found nothing",
  ],
  [
    "arguments in one text",
    "models: {a: {model_path: x, extra_args: --seed 1}}",
    'f:1:41: models.a.extra_args: expected a list of arguments, found the text "--seed 1"',
  ],
  [
    "--port among the arguments",
    "models: {a: {model_path: x, extra_args: [--port, 8001]}}",
    "f:1:42: models.a.extra_args[0]: expected no argument that says where the engine listens, found --port: llmux sets it; write the key port of the model",
  ],
  [
    "--host= among the arguments",
    "models: {a: {model_path: x, extra_args: [--seed, 1, --host=0.0.0.0]}}",
    "f:1:53: models.a.extra_args[2]: expected no argument that says where the engine listens, found --host: llmux sets it; engines listen on loopback only",
  ],
  [
    "an empty model name",
    'models: {"": {model_path: x}}',
    'f:1:10: models."": expected a model name without spaces and control characters, found an empty one',
  ],
  [
    "a model name with a space",
    "models: {a b: {model_path: x}}",
    'f:1:10: models."a b": expected a model name without spaces and control characters, found "a b"',
  ],
  [
    "a model name with a control character",
    'models: {"a\\u0007": {model_path: x}}',
    'f:1:10: models."a\\u0007": expected a model name without spaces and control characters, found "a\\u0007"',
  ],
  [
    "a model name that is a path",
    "models: {..: {model_path: x}}",
    'f:1:10: models."..": expected a model name that is no reserved word, found ".."',
  ],
  [
    "a model name of objects' own",
    '{"models": {"__proto__": {"model_path": "x"}}}',
    'f:1:13: models.__proto__: expected a model name that is no reserved word, found "__proto__"',
  ],
  [
    "a GPU below 0",
    "models: {a: {model_path: x, gpus: [-1]}}",
    "f:1:36: models.a.gpus[0]: expected the id of a GPU: 0, 1, 2, …, found -1",
  ],
  [
    "a GPU that is a name",
    "models: {a: {model_path: x, gpus: [cuda]}}",
    'f:1:36: models.a.gpus[0]: expected the id of a GPU: 0, 1, 2, …, found the text "cuda"',
  ],
  [
    "a GPU given twice",
    "models: {a: {model_path: x, gpus: [0, 1, 0]}}",
    "f:1:42: models.a.gpus[2]: expected each GPU once, found 0 twice",
  ],
  [
    "no GPU",
    "models: {a: {model_path: x, gpus: []}}",
    "f:1:35: models.a.gpus: expected a list of at least one GPU id, such as [0], found a list of 0",
  ],
  [
    "one GPU without a list",
    "models: {a: {model_path: x, gpus: 0}}",
    "f:1:35: models.a.gpus: expected a list of at least one GPU id, such as [0], found 0",
  ],
  [
    "a variable with an odd name",
    "models: {a: {model_path: x, env: {B C: 1}}}",
    'f:1:35: models.a.env."B C": expected the name of a variable (letters, digits and _), found "B C"',
  ],
  [
    "a variable of objects' own",
    "models: {a: {model_path: x, env: {__proto__: 1}}}",
    'f:1:35: models.a.env.__proto__: expected the name of a variable (letters, digits and _), found "__proto__"',
  ],
  [
    "a variable that is nothing",
    "models: {a: {model_path: x, env: {B: }}}",
    "f:1:38: models.a.env.B: expected a variable's value, as text, found nothing",
  ],
];

describe("a configuration with a mistake", () => {
  for (const [what, text, ...said] of mistakes) {
    it(`is refused for ${what}, with the place and what was expected and found`, () => {
      assert.deepEqual(errorLines(text), said);
    });
  }

  for (const duration of ["-1", "-5s", "soon", '"30"', "1d", "600h", "1e12", ".inf", "[]", "true", "", "-0.5"]) {
    it(`is refused for the duration ${duration || "that is nothing"}`, () => {
      const [line, ...more] = errorLines(`${a}\nshutdown_timeout_secs: ${duration}`);
      assert.deepEqual(more, []);
      assert.match(
        line ?? "",
        /^f:2:2\d: shutdown_timeout_secs: expected a duration of at most 576h: .* 1h30m, found /,
      );
    });
  }

  it("is told all its mistakes at once, in the order of the file", () => {
    const lines = errorLines(`
host: nowhere:80
prot: 1
policy: {sleep_level: 9}
models:
  a: {model_path: "\${NOPE}", port: 3000}
  b: {aliases: [a], extra_args: [--port=1]}
`);
    assert.deepEqual(
      lines.map((line) => line.split(": ").slice(0, 2).join(" ")),
      [
        "f:2:7 host",
        "f:3:1 prot",
        "f:4:23 policy.sleep_level",
        "f:6:20 models.a.model_path",
        "f:6:36 models.a.port",
        "f:7:3 models.b.model_path",
        "f:7:17 models.b.aliases[0]",
        "f:7:34 models.b.extra_args[0]",
      ],
    );
  });
});
