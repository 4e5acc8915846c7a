import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError, parseConfig } from "./load.ts";

const env = {
  HOME: "/home/ada",
  ORG: "org",
  PORT: "8080",
  YES: "true",
  NOTHING: "",
  NULL: "null",
  LONG: "1m",
  SECRET: "hunter2",
};

function parse(text: string) {
  return parseConfig(text, "f", env);
}

function messageOf(text: string): string {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  return "";
}

describe("${NAME} in a text", () => {
  it("is replaced by the variable, anywhere and more than once", () => {
    const [model] = parse(
      "models: {a: {model_path: '${ORG}/${ORG}-x', extra_args: ['--x=${ORG}'], env: {A: '${PORT}'}}}",
    ).models;
    assert.equal(model?.modelPath, "org/org-x");
    assert.deepEqual(model.extraArgs, ["--x=org"]);
    assert.deepEqual(model.env, { A: "8080" });
  });

  it("works without quotes, in double quotes and in block texts", () => {
    const { models } = parse(
      'models:\n  a: {model_path: "${ORG}/a"}\n  b:\n    model_path: ${ORG}/b\n  c:\n    model_path: >-\n      ${ORG}/c\n',
    );
    assert.deepEqual(
      models.map((model) => model.modelPath),
      ["org/a", "org/b", "org/c"],
    );
  });

  it("may be a variable that is set and empty", () => {
    assert.deepEqual(parse("models: {a: {model_path: x, env: {A: '${NOTHING}'}}}").models[0]?.env, { A: "" });
  });

  it("gives a number, a boolean, null or a duration where one is wanted", () => {
    const config = parse(
      "port: ${PORT}\npolicy: {drain_before_switch: '${YES}', drain_timeout_secs: '${NULL}', request_timeout_secs: '${LONG}'}\n" +
        "shutdown_timeout_secs: ${PORT}\nmodels: {a: {model_path: x}}",
    );
    assert.equal(config.port, 8080);
    assert.equal(config.policy.drainBeforeSwitch, true);
    assert.equal(config.policy.drainTimeoutMs, null);
    assert.equal(config.policy.requestTimeoutMs, 60_000);
    assert.equal(config.shutdownTimeoutMs, 8_080_000);
  });

  it("stays a text where a text is wanted, whatever it looks like", () => {
    assert.equal(parse("models: {a: {model_path: '${PORT}'}}").models[0]?.modelPath, "8080");
  });

  it("is checked like everything else once it is replaced", () => {
    assert.equal(
      messageOf("port: ${PORT}\nmodels: {a: {model_path: x, port: 8080}}"),
      "f:2:35: models.a.port: expected a port that nothing else uses, found 8080, which is also port",
    );
  });

  it("is an error at its place where the variable is not set", () => {
    assert.equal(
      messageOf("models:\n  a:\n    model_path: ${ORG}/${NOPE}\n    port: ${PROT}\n"),
      "f:3:24: models.a.model_path: expected the environment variable NOPE, found that it is not set\n" +
        "f:4:11: models.a.port: expected the environment variable PROT, found that it is not set",
    );
  });

  it("names the list item that it stands in", () => {
    assert.equal(
      messageOf("models: {a: {model_path: x, extra_args: [--x, '${NOPE}']}}"),
      "f:1:48: models.a.extra_args[1]: expected the environment variable NOPE, found that it is not set",
    );
  });

  it("does not take what every object has for a variable", () => {
    assert.match(
      messageOf("models: {a: {model_path: '${constructor}'}}"),
      /variable constructor, found that it is not set/,
    );
  });

  for (const text of ["${", "${ORG", "${}", "${ORG:-x}", "${1}", "${A B}"]) {
    it(`is an error where it is written ${text}`, () => {
      assert.equal(
        messageOf(`models: {a: {model_path: 'x${text}'}}`),
        "f:1:28: models.a.model_path: expected ${NAME} with the name of an environment variable; for a literal ${ write $${",
      );
    });
  }

  it("never shows in a message what the variable contains", () => {
    const message = messageOf("port: ${SECRET}\nlog_level: 'x${SECRET}'\nmodels: {a: {model_path: x}}");
    assert.ok(!message.includes("hunter2"));
    assert.match(message, /^f:1:7: port: expected a port between 1 and 65535, found what "\$\{SECRET\}" stands for$/m);
  });

  it("is not replaced within a key, nor within what a variable contains", () => {
    assert.match(messageOf("${ORG}: 1\nmodels: {a: {model_path: x}}"), /^f:1:1: "\$\{ORG\}": unknown key/);
    const config = parseConfig("models: {a: {model_path: '${A}'}}", "f", { A: "${B}", B: "b" });
    assert.equal(config.models[0]?.modelPath, "${B}");
  });
});

describe("$${ in a text", () => {
  it("is a literal ${", () => {
    assert.equal(parse("models: {a: {model_path: 'x$${ORG}'}}").models[0]?.modelPath, "x${ORG}");
  });

  it("leaves other dollar signs alone", () => {
    assert.equal(parse("models: {a: {model_path: '$ORG $$ $x{'}}").models[0]?.modelPath, "$ORG $$ $x{");
  });
});
