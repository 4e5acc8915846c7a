import { deepEqual, equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { isSecretName, REDACTED, redactCommand, redactEnvironment, redactText } from "./redact.ts";

describe("names of secrets", () => {
  it("are known in every spelling", () => {
    for (const name of ["--api-key", "api_key", "apiKey", "HF_TOKEN", "--hf-token", "OPENAI_API_KEY", "AWS_SECRET"]) {
      equal(isSecretName(name), true, name);
    }
    for (const name of ["--ssl-keyfile-password", "DB_PASSWORD", "Authorization", "authToken"]) {
      equal(isSecretName(name), true, name);
    }
  });

  it("are not seen in names that only resemble them", () => {
    for (const name of ["--tokenizer", "--max-num-batched-tokens", "--ssl-keyfile", "KEYBOARD", "monkey", "--port"]) {
      equal(isSecretName(name), false, name);
    }
  });
});

describe("a command line", () => {
  it("loses the values of secret flags, however they are written", () => {
    deepEqual(redactCommand(["vllm", "serve", "m", "--api-key", "abc", "--port", "8001", "--hf-token=xyz"]), [
      "vllm",
      "serve",
      "m",
      "--api-key",
      REDACTED,
      "--port",
      "8001",
      `--hf-token=${REDACTED}`,
    ]);
  });

  it("loses every value of a flag that takes several", () => {
    deepEqual(redactCommand(["--api-key", "one", "two", "-3", "--seed", "3"]), [
      "--api-key",
      REDACTED,
      REDACTED,
      REDACTED,
      "--seed",
      "3",
    ]);
  });

  it("loses variables that are set for a program it starts", () => {
    deepEqual(redactCommand(["docker", "run", "-e", "HF_TOKEN=abc", "env", "A=1"]), [
      "docker",
      "run",
      "-e",
      `HF_TOKEN=${REDACTED}`,
      "env",
      "A=1",
    ]);
  });

  it("keeps everything else as it is", () => {
    const command = ["vllm", "serve", "Qwen/Qwen3-14B", "--gpu-memory-utilization", "0.9", "--tokenizer=x", "-tp", "2"];
    deepEqual(redactCommand(command), command);
  });

  it("loses secrets inside the value of a harmless flag", () => {
    deepEqual(redactCommand(["--config", '{"api_key": "abc", "n": 1}', "--url=http://me:pw@host/"]), [
      "--config",
      `{"api_key": ${REDACTED}, "n": 1}`,
      `--url=http://me:${REDACTED}@host/`,
    ]);
  });
});

describe("an environment", () => {
  it("loses the values of secret variables and keeps the others", () => {
    deepEqual(redactEnvironment({ HF_TOKEN: "abc", HF_HUB_OFFLINE: "1", PROXY: "http://u:p@h:1" }), {
      HF_TOKEN: REDACTED,
      HF_HUB_OFFLINE: "1",
      PROXY: `http://u:${REDACTED}@h:1`,
    });
  });
});

describe("a text", () => {
  it("loses what looks like a secret", () => {
    equal(redactText("token hf_abcdefghijkl is bad"), `token ${REDACTED} is bad`);
    equal(redactText("Authorization: Bearer abc.def-ghi"), `Authorization: Bearer ${REDACTED}`);
    equal(redactText("OPENAI_API_KEY=abc vllm"), `OPENAI_API_KEY=${REDACTED} vllm`);
    equal(redactText("exit: a=HF_TOKEN=a:b=c, n=1"), `exit: a=HF_TOKEN=${REDACTED}, n=1`);
  });

  it("loses the key that vLLM prints among its arguments", () => {
    equal(
      redactText("non-default args: {'api_key': ['abc', 'def'], 'model': 'm', 'hf_token': 'x y'}"),
      `non-default args: {'api_key': ${REDACTED}, 'model': 'm', 'hf_token': ${REDACTED}}`,
    );
  });

  it("keeps sentences and values that say that there is none", () => {
    for (const text of ["'api_key': None", "the key: it is missing", "max_tokens=100", "tokens: 12", "a=b"]) {
      equal(redactText(text), text);
    }
  });

  it("is read in a time that grows with its length and no faster", () => {
    const startedAtMs = performance.now();
    redactText("a".repeat(200_000));
    redactText("key=".repeat(50_000));
    redactText(`key="${"\\".repeat(100_000)}`);
    redactText("key=[".repeat(20_000));
    redactText("http://".repeat(20_000));
    equal(performance.now() - startedAtMs < 5_000, true);
  });
});
