import assert, { deepEqual, equal, match, rejects } from "node:assert/strict";
import { get } from "node:https";
import { afterEach, describe, it } from "node:test";
import { createKey, hashOfKey } from "../base/api-key.ts";
import { failure } from "../base/failure.ts";
import { selfSigned } from "../platform/testing/self-signed.ts";
import { MetricsServer, type MetricsServerOptions } from "./metrics-server.ts";
import type { OperatorDesk } from "./operator-routes.ts";

let open: MetricsServer[] = [];

afterEach(async () => {
  await Promise.all(open.map((server) => server.close()));
  open = [];
});

function serverFor(page = async () => ({ contentType: "text/plain; version=0.0.4", body: "a 1\n" }), port = 0) {
  const made = new MetricsServer({ host: "127.0.0.1", port, page });
  open.push(made);
  return made;
}

describe("the metrics listener", () => {
  it("shows the metrics", async () => {
    const port = await serverFor().listen();
    const response = await fetch(`http://127.0.0.1:${port}/metrics?x=1`);
    equal(response.status, 200);
    equal(response.headers.get("content-type"), "text/plain; version=0.0.4");
    equal(await response.text(), "a 1\n");
  });

  it("has nothing else", async () => {
    const port = await serverFor().listen();
    for (const path of ["/", "/metrics/", "/status", "/v1/models"]) {
      equal((await fetch(`http://127.0.0.1:${port}${path}`)).status, 404, path);
    }
    equal((await fetch(`http://127.0.0.1:${port}/metrics`, { method: "POST", body: "x" })).status, 404);
  });

  it("answers 500 when they cannot be collected, and goes on", async () => {
    let fails = true;
    const made = serverFor(async () => {
      if (fails) throw new Error("broken");
      return { contentType: "text/plain", body: "ok" };
    });
    const port = await made.listen();
    equal((await fetch(`http://127.0.0.1:${port}/metrics`)).status, 500);
    fails = false;
    equal((await fetch(`http://127.0.0.1:${port}/metrics`)).status, 200);
  });

  it("says what to do when its port is taken", async () => {
    const port = await serverFor().listen();
    await rejects(serverFor(undefined, port).listen(), (error: Error) => {
      match(
        error.message,
        /^the metrics port \d+ on 127\.0\.0\.1 is in use: choose another metrics_port, or 0 for none$/,
      );
      return true;
    });
  });

  it("ends the connections that there are when it is closed", async () => {
    const made = serverFor();
    const port = await made.listen();
    await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    await made.close();
    await rejects(fetch(`http://127.0.0.1:${port}/metrics`));
  });
});

const DESK: OperatorDesk = {
  status: () => assert.fail("nobody asks for the status here"),
  explain: () => assert.fail("nobody asks for an explanation here"),
  findModel: (name) => (name === "a" ? "a" : null),
  operate: (model, command) => {
    operated.push(`${command} ${model}`);
    return failure("invalid_request", "noted");
  },
};
let operated: string[] = [];

const onePage = async () => ({ contentType: "text/plain", body: "a 1\n" });

function serverWithKey(key: string, more: Partial<MetricsServerOptions> = {}): MetricsServer {
  const operators = { keyHash: hashOfKey(key), desk: DESK };
  const made = new MetricsServer({ host: "127.0.0.1", port: 0, page: onePage, operators, ...more });
  open.push(made);
  return made;
}

describe("the metrics listener with a key for operators", () => {
  const key = createKey();

  it("has nothing without the key, and does not say what there would be", async () => {
    const origin = `http://127.0.0.1:${await serverWithKey(key).listen()}`;
    operated = [];
    for (const headers of [
      {},
      { authorization: `Bearer ${createKey()}` },
      { authorization: `Basic ${key}` },
      { authorization: hashOfKey(key) },
      { "x-api-key": `${key}x` },
    ]) {
      for (const [method, path] of [
        ["GET", "/metrics"],
        ["GET", "/status"],
        ["POST", "/models/a/stop"],
        ["GET", "/nothing"],
      ] as const) {
        const response = await fetch(origin + path, { method, headers: headers as Record<string, string> });
        equal(response.status, 401, path);
        equal(response.headers.get("www-authenticate"), "Bearer");
        equal(((await response.json()) as { error: { code: string } }).error.code, "invalid_api_key");
      }
    }
    deepEqual(operated, []);
  });

  it("takes the operators' commands and shows the metrics to whoever has it", async () => {
    const origin = `http://127.0.0.1:${await serverWithKey(key).listen()}`;
    operated = [];
    const headers = { authorization: `Bearer ${key}` };
    equal(await (await fetch(`${origin}/metrics`, { headers })).text(), "a 1\n");
    equal((await fetch(`${origin}/models/a/stop`, { method: "POST", headers: { "x-api-key": key } })).status, 409);
    equal((await fetch(`${origin}/models/a/sleep`, { method: "POST", headers })).status, 409);
    equal((await fetch(`${origin}/models/a/sleep`, { headers })).status, 405);
    equal((await fetch(`${origin}/nothing`, { headers })).status, 404);
    deepEqual(operated, ["stop a", "sleep a"]);
  });

  it("takes no command where there is no key, not even on loopback", async () => {
    const port = await serverWithKey(key, { operators: null }).listen();
    operated = [];
    equal((await fetch(`http://127.0.0.1:${port}/models/a/stop`, { method: "POST" })).status, 404);
    deepEqual(operated, []);
  });

  it("speaks TLS where there is a certificate, also a renewed one", async () => {
    const first = selfSigned();
    const made = serverWithKey(key, { tls: () => first });
    const port = await made.listen();
    const status = (ca: string): Promise<number> => {
      return new Promise((resolve, reject) => {
        const headers = { "x-api-key": key };
        const options = { host: "127.0.0.1", port, path: "/metrics", ca, headers, agent: false };
        get(options, (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        }).on("error", reject);
      });
    };
    equal(await status(first.cert), 200);
    const second = selfSigned();
    made.renewTls(second);
    await rejects(status(first.cert));
    equal(await status(second.cert), 200);
  });

  it("does not listen with a certificate that cannot be read", async () => {
    const made = serverWithKey(key, {
      tls: () => {
        throw new Error("no certificate");
      },
    });
    await rejects(made.listen(), { message: "no certificate" });
  });
});
