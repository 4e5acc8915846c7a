import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, it } from "node:test";
import { failure, type Failure } from "../base/failure.ts";
import { ControlError, fetchExplanation, fetchStatus, NotRunningError, operateModel } from "./control-client.ts";
import { ControlServer, type ControlServerOptions } from "./control-server.ts";
import type { ExplanationQuery } from "./explanation.ts";
import { exampleExplanation } from "./testing/example-explanation.ts";
import { exampleModel, exampleStatus } from "./testing/example-status.ts";

let folder = "";
let open: ControlServer[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmux-control-"));
});

afterEach(async () => {
  await Promise.all(open.map((server) => server.close()));
  open = [];
  rmSync(folder, { recursive: true, force: true });
});

const asleep = exampleModel({ id: "org/model a" });
const document = exampleStatus({ models: [asleep] });

const explanation = exampleExplanation();

function serverAt(socketPath: string, options: Partial<ControlServerOptions> = {}) {
  const commands: string[] = [];
  const queries: ExplanationQuery[] = [];
  const server = new ControlServer({
    socketPath,
    status: () => document,
    explain(query) {
      queries.push(query);
      return explanation;
    },
    findModel: (name) => (name === "org/model a" || name === "alias" ? "org/model a" : null),
    operate(model, command): Failure | null {
      commands.push(`${command} ${model}`);
      return null;
    },
    ...options,
  });
  open.push(server);
  return { server, commands, queries };
}

function statusOf(socketPath: string, method: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    });
    outgoing.once("error", reject);
    outgoing.end();
  });
}

describe("the control socket", () => {
  it("answers with the status", async () => {
    const path = join(folder, "llmux.sock");
    await serverAt(path).server.listen();
    deepEqual(await fetchStatus(path), document);
  });

  it("answers with an explanation, of everything or of a model by name or alias", async () => {
    const path = join(folder, "llmux.sock");
    const { server, queries } = serverAt(path);
    await server.listen();
    deepEqual(await fetchExplanation(path, { model: null, last: 3 }), explanation);
    await fetchExplanation(path, { model: "alias", last: 0 });
    equal(await statusOf(path, "GET", "/explain"), 200);
    deepEqual(queries, [
      { model: null, last: 3 },
      { model: "org/model a", last: 0 },
      { model: null, last: 10 },
    ]);
    await rejects(
      fetchExplanation(path, { model: "b", last: 1 }),
      /^ControlError: no model b; there are org\/model a$/,
    );
    equal(await statusOf(path, "GET", "/explain?last=x"), 400);
    equal(await statusOf(path, "POST", "/explain"), 405);
  });

  it("can be opened by its owner alone, and its folder is made where it is missing", async () => {
    const path = join(folder, "state", "deep", "llmux.sock");
    const maskBefore = process.umask();
    await serverAt(path).server.listen();
    equal(statSync(path).mode & 0o777, 0o600);
    equal(statSync(join(folder, "state")).mode & 0o777, 0o700);
    equal(process.umask(), maskBefore);
  });

  it("passes commands on, by name or alias, and answers with the model's status after it", async () => {
    const path = join(folder, "llmux.sock");
    const { server, commands } = serverAt(path);
    await server.listen();
    deepEqual(await operateModel(path, "org/model a", "sleep"), asleep);
    await operateModel(path, "alias", "stop");
    deepEqual(commands, ["sleep org/model a", "stop org/model a"]);
  });

  it("says which models there are when there is none of that name", async () => {
    const path = join(folder, "llmux.sock");
    const { server, commands } = serverAt(path);
    await server.listen();
    await rejects(operateModel(path, "b", "stop"), {
      name: "ControlError",
      message: "no model b; there are org/model a",
    });
    deepEqual(commands, []);
  });

  it("passes on why a command was refused", async () => {
    const path = join(folder, "llmux.sock");
    const refusal = failure("invalid_request", "model a is draining: try again when that has ended");
    await serverAt(path, { operate: () => refusal }).server.listen();
    await rejects(operateModel(path, "alias", "stop"), /^ControlError: model a is draining/);
    equal(await statusOf(path, "POST", "/models/alias/stop"), 409);
  });

  it("has no other routes and changes nothing on a GET", async () => {
    const path = join(folder, "llmux.sock");
    const { server, commands } = serverAt(path);
    await server.listen();
    equal(await statusOf(path, "GET", "/models/alias/stop"), 405);
    equal(await statusOf(path, "POST", "/status"), 405);
    equal(await statusOf(path, "POST", "/models/alias/kill"), 404);
    equal(await statusOf(path, "GET", "/models/%zz/stop"), 405);
    equal(await statusOf(path, "GET", "/"), 404);
    deepEqual(commands, []);
  });

  it("is gone after close, which may be called twice and before listen", async () => {
    const path = join(folder, "llmux.sock");
    const { server } = serverAt(path);
    await server.close();
    await server.listen();
    await fetchStatus(path);
    await server.close();
    await server.close();
    equal(existsSync(path), false);
  });
});

describe("a socket that is there already", () => {
  it("is replaced when nobody listens at it", async () => {
    const path = join(folder, "llmux.sock");
    const code = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", code]);
    equal(existsSync(path), true);
    await rejects(fetchStatus(path), NotRunningError);
    await serverAt(path).server.listen();
    deepEqual(await fetchStatus(path), document);
    equal(statSync(path).mode & 0o777, 0o600);
  });

  it("is left alone when another llmux listens at it", async () => {
    const path = join(folder, "llmux.sock");
    await serverAt(path).server.listen();
    await rejects(serverAt(path).server.listen(), /another llmux runs with this state_dir/);
    deepEqual(await fetchStatus(path), document);
  });

  it("is left alone when it is no socket", async () => {
    const path = join(folder, "llmux.sock");
    writeFileSync(path, "precious");
    await rejects(serverAt(path).server.listen(), /is in the way: it is no socket/);
    equal(existsSync(path), true);
  });

  it("is refused with its length when its path is longer than the system allows", async () => {
    const path = join(folder, "x".repeat(120));
    await rejects(
      serverAt(path).server.listen(),
      /has \d+ bytes, and the system allows \d+: choose a shorter state_dir/,
    );
  });
});

describe("the client of the control socket", () => {
  it("says that no llmux runs, where it looked and what to do", async () => {
    await rejects(fetchStatus(join(folder, "none.sock")), (error: Error) => {
      equal(error instanceof NotRunningError, true);
      match(error.message, /^no llmux is running: there is no socket at .*none\.sock; start it with llmux serve/);
      return true;
    });
  });

  it("says so when something else listens there", async () => {
    const path = join(folder, "other.sock");
    const other = createServer((socket) => {
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    });
    await new Promise<void>((resolve) => {
      other.listen(path, resolve);
    });
    try {
      await rejects(fetchStatus(path), (error: Error) => {
        equal(error instanceof ControlError, true);
        match(error.message, /does not answer as llmux does/);
        return true;
      });
    } finally {
      other.close();
    }
  });

  it("says so when the connection breaks before an answer", async () => {
    const path = join(folder, "broken.sock");
    const other = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => {
      other.listen(path, resolve);
    });
    try {
      await rejects(fetchStatus(path), /^ControlError: the llmux at .* did not answer/);
    } finally {
      other.close();
    }
  });
});
