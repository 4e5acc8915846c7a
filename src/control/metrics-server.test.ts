import { equal, match, rejects } from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { MetricsServer } from "./metrics-server.ts";

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
