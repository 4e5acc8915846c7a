import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { Agent, type IncomingMessage } from "node:http";
import { createServer } from "node:net";
import { test } from "node:test";
import { connect } from "node:tls";
import { ask as askOver, chat, json, open as openOver, type Question, type Reply } from "../gateway/testing/client.ts";
import { until } from "../gateway/testing/stage.ts";
import { createKey, hashOfKey } from "../base/api-key.ts";
import type { TlsIdentity } from "../base/tls-identity.ts";
import { selfSigned } from "../platform/testing/self-signed.ts";
import type { Death } from "./testing/mortal-worker.ts";
import { createWorkersStage, WorkersStage } from "./testing/stage.ts";

/** Each connection may go to another worker, so each request has one of its own. */
const ask = (stage: WorkersStage, question: Question = {}): Promise<Reply> =>
  askOver(stage, { agent: new Agent(), ...question });
const open = (stage: WorkersStage, question: Question = {}): Promise<IncomingMessage> =>
  openOver(stage, { agent: new Agent(), ...question });

/** Asks on new connections, one after the other, until every worker has asked for a lease. */
async function askThroughAll(stage: WorkersStage, question: Question = {}): Promise<void> {
  for (let count = 0; count < 200 && !stage.allHaveSaid("request"); count += 1) {
    assert.equal((await ask(stage, question)).status, 200);
  }
  assert.ok(stage.allHaveSaid("request"), "the system has given all connections to one worker");
}

const withKey = (value: string): Question => ({ headers: { authorization: `Bearer ${value}` } });

/** Engines that begin an answer and never end it. */
function neverEnds(stage: WorkersStage): void {
  for (const engine of stage.engines.values()) {
    engine.handler = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: {}\n\n");
    };
  }
}

test("All workers serve on one address, also when the port is chosen by the system", async (context) => {
  const stage = await createWorkersStage(context, { workers: 3 });
  await askThroughAll(stage);
  await askThroughAll(stage, { body: chat("org/beta") });
  await until(() => stage.access.every(({ outcome }) => outcome === "served"), "all records are there");
});

test("A port that somebody has is refused with its address, also when that is a gateway with workers", async (context) => {
  const stage = await createWorkersStage(context);
  const second = new WorkersStage({});
  await assert.rejects(second.gateway.listen("127.0.0.1", stage.port), {
    message: `cannot listen on 127.0.0.1:${stage.port}: something else listens there already (EADDRINUSE); choose another port`,
  });
  second.close();
  const server = createServer();
  await assert.rejects(
    new Promise((resolve, reject) => {
      server.once("error", reject).listen(stage.port, "127.0.0.1", () => resolve(null));
    }),
    { code: "EADDRINUSE" },
  );
});

test("Workers that do not come to life are an error of the start", async () => {
  const stage = new WorkersStage({ entry: "still-born-worker.ts" });
  await assert.rejects(stage.gateway.listen("127.0.0.1", 0), /still-born/);
  stage.close();
});

for (const death of ["by an exception", "for want of memory", "by a rejection"] satisfies Death[]) {
  test(`A worker that dies ${death} loses no lease, the others go on, and another one comes`, async (context) => {
    const stage = await createWorkersStage(context);
    neverEnds(stage);
    const answers = [];
    while (!stage.allHaveSaid("request")) answers.push(await open(stage));
    // Those wait for a model whose turn it is not.
    const waiting = Array.from({ length: 4 }, () => open(stage, { body: chat("org/beta") }).catch(() => null));
    await until(() => stage.gateway.hub.waiting === 4, "four wait");
    const before = stage.inFlight("alpha");
    const mine = stage.said(0, "request").filter(({ model }) => model === "alpha").length;
    assert.equal(before, answers.length);
    const cut = answers.map(
      (answer) =>
        new Promise((resolve) => {
          answer.on("error", () => {}).once("close", () => resolve(null));
          answer.resume();
        }),
    );
    const { thread: dead } = stage.threads.get(0) ?? {};
    stage.kill(0, death);
    await until(() => stage.log.named("worker died").length === 1, "it is known to be dead");
    assert.equal(stage.inFlight("alpha"), before - mine);
    assert.equal(answers.filter(({ complete, destroyed }) => !complete && !destroyed).length >= before - mine, true);
    await until(() => stage.log.named("worker replaced").length === 1, "another one has come");
    assert.notEqual(stage.threads.get(0)?.thread, dead);
    const { fields } = stage.log.named("worker died")[0] ?? {};
    assert.match(String(fields?.["reason"]), death === "for want of memory" ? /memory limit/ : /told to die/);
    // Nobody of those who are left has noticed; when they have gone, it is the other model's turn.
    for (const answer of answers) answer.destroy();
    await Promise.all(cut);
    for (const answer of await Promise.all(waiting)) answer?.destroy();
    for (const engine of stage.engines.values()) engine.handler = (response) => void response.end("{}");
    await askThroughAll(stage);
  });
}

test("A crash of an engine before the first byte is retried, whichever worker the request came to", async (context) => {
  const stage = await createWorkersStage(context);
  await askThroughAll(stage);
  for (let round = 0; round < 6; round += 1) {
    let crashes = 1;
    stage.engine("alpha").handler = (response) => {
      if (crashes === 0) response.end("{}");
      else {
        crashes -= 1;
        stage.crash("alpha");
      }
    };
    assert.equal((await ask(stage)).status, 200);
  }
});

test("The limits of a key hold over all workers", async (context) => {
  const keys = [createKey(), createKey()];
  const [inFlightKey = "", rateKey = ""] = keys;
  const key = { models: null, requestsPerMinute: null, inFlightMax: null, priority: null };
  const stage = await createWorkersStage(context, {
    apiKeys: [
      { ...key, name: "three", hash: hashOfKey(inFlightKey), inFlightMax: 3 },
      { ...key, name: "twelve", hash: hashOfKey(rateKey), requestsPerMinute: 12 },
    ],
  });
  const statuses: number[] = [];
  for (let count = 0; count < 20; count += 1) statuses.push((await ask(stage, withKey(rateKey))).status);
  assert.ok(stage.allHaveSaid("request"));
  assert.deepEqual(statuses, [...Array<number>(12).fill(200), ...Array<number>(8).fill(429)]);
  neverEnds(stage);
  const held = [await open(stage, withKey(inFlightKey)), await open(stage, withKey(inFlightKey))];
  held.push(await open(stage, withKey(inFlightKey)));
  for (let count = 0; count < 20; count += 1) {
    const refused = await ask(stage, withKey(inFlightKey));
    assert.equal(refused.status, 429);
    assert.equal(json(refused).error?.["code"], "too_many_in_flight");
  }
  for (const answer of held) answer.destroy();
  stage.engine("alpha").handler = (response) => void response.end("{}");
  await until(() => stage.inFlight("alpha") === 0, "all have gone");
  await until(() => stage.access.filter(({ outcome }) => outcome === "abandoned").length === 3, "and are told of");
  assert.equal((await ask(stage, withKey(inFlightKey))).status, 200);
});

test("What a worker that died had counted of a key is taken off", async (context) => {
  const value = createKey();
  const apiKeys = [
    { name: "one", hash: hashOfKey(value), models: null, requestsPerMinute: null, inFlightMax: 1, priority: null },
  ];
  const stage = await createWorkersStage(context, { apiKeys });
  neverEnds(stage);
  const answer = await open(stage, withKey(value));
  answer.on("error", () => {});
  assert.equal((await ask(stage, withKey(value))).status, 429);
  stage.kill(stage.said(0, "request").length > 0 ? 0 : 1, "by an exception");
  await until(() => stage.log.named("worker replaced").length === 1, "another one has come");
  stage.engine("alpha").handler = (response) => void response.end("{}");
  assert.equal((await ask(stage, withKey(value))).status, 200);
});

test("The limit of connections holds over all workers", async (context) => {
  const stage = await createWorkersStage(context, { limits: { connectionsMax: 16 } });
  const agent = new Agent({ keepAlive: true });
  context.after(() => agent.destroy());
  neverEnds(stage);
  const answers = await Promise.all(Array.from({ length: 16 }, () => open(stage, { agent })));
  assert.ok(stage.allHaveSaid("request"));
  for (let count = 0; count < 10; count += 1) assert.equal((await ask(stage)).status, 503);
  for (const answer of answers) answer.destroy();
});

test("A response that one worker has passed on is found by the others", async (context) => {
  const stage = await createWorkersStage(context);
  stage.engine("alpha").handler = (response, { method }) => {
    response.setHeader("content-type", "application/json");
    response.end(method === "POST" ? '{"id": "resp_1", "object": "response"}' : '{"got": true}');
  };
  assert.equal((await ask(stage, { path: "/v1/responses" })).status, 200);
  const find: Question = { method: "GET", path: "/v1/responses/resp_1", body: null };
  for (let count = 0; count < 200 && !stage.allHaveSaid("request"); count += 1) {
    assert.equal((await ask(stage, find)).status, 200);
  }
  assert.ok(stage.allHaveSaid("request"));
  assert.equal((await ask(stage, { ...find, path: "/v1/responses/resp_2" })).status, 404);
});

test("Heartbeats tell the place among the clients of all workers, and how far the engine is", async (context) => {
  const stage = await createWorkersStage(context, { limits: { heartbeatMs: 30 } });
  neverEnds(stage);
  const first = await open(stage);
  const stream = { body: chat("org/beta", { stream: true }) };
  const seen = new Set<string>();
  const answers = await Promise.all(Array.from({ length: 16 }, () => open(stage, stream)));
  for (const answer of answers) {
    answer.on("data", (chunk: Buffer) => {
      const beat = /^: llmux model=org\/beta state="(\w+)" stage="loading weights" percent=40 position=(\d+)\n/.exec(
        chunk.toString(),
      );
      if (beat !== null) seen.add(beat[2] ?? "");
    });
  }
  await until(() => seen.size === 16, "all places from 1 to 16 were told");
  assert.ok(stage.allHaveSaid("request"));
  for (const answer of [first, ...answers]) answer.destroy();
});

test("After the stop nobody comes in, what runs goes on to its end, and then it is idle", async (context) => {
  const stage = await createWorkersStage(context);
  neverEnds(stage);
  const answers = [];
  while (!stage.allHaveSaid("request")) answers.push(await open(stage));
  await stage.gateway.stopAccepting();
  await assert.rejects(ask(stage), { code: "ECONNREFUSED" });
  let isIdle = false;
  const idle = stage.gateway.idle().then(() => (isIdle = true));
  for (const response of stage.engine("alpha").openResponses) {
    assert.ok(!isIdle);
    response.end();
  }
  await idle;
  assert.deepEqual(
    stage.access.map(({ outcome }) => outcome),
    answers.map(() => "served"),
  );
  for (const answer of answers) answer.resume();
});

test("What is told of the oldest request in progress is never too late", async (context) => {
  const stage = await createWorkersStage(context);
  neverEnds(stage);
  const beforeMs = Date.now();
  const answer = await open(stage);
  const afterMs = Date.now();
  const oldest = (): number => stage.gateway.oldestArrivalEpochMs() ?? Infinity;
  await until(() => oldest() >= beforeMs, "the workers have been asked since");
  for (let count = 0; count < 20; count += 1) {
    assert.ok(oldest() <= afterMs);
    await ask(stage, { method: "GET", path: "/health", body: null });
  }
  answer.destroy();
  await until(() => oldest() > afterMs, "it has gone");
});

test("A certificate that is renewed is shown by all workers, and by those that come later", async (context) => {
  const first = selfSigned();
  const second = selfSigned();
  let identity = first;
  const stage = await createWorkersStage(context, { tls: () => identity });
  const shown = async (): Promise<string> => {
    const socket = connect({ port: stage.port, host: "127.0.0.1", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const { raw } = socket.getPeerCertificate();
    socket.destroy();
    return raw.toString("base64");
  };
  const allShow = async ({ cert }: TlsIdentity): Promise<boolean> => {
    const certificates = await Promise.all(Array.from({ length: 12 }, shown));
    return certificates.every((one) => one === new X509Certificate(cert).raw.toString("base64"));
  };
  assert.ok(await allShow(first));
  assert.throws(() => stage.gateway.renewTls({ cert: "none", key: "none" }));
  identity = second;
  stage.gateway.renewTls(identity);
  while (!(await allShow(second))) await new Promise((resolve) => void setImmediate(resolve));
  stage.kill(0, "by an exception");
  await until(() => stage.log.named("worker replaced").length === 1, "another one has come");
  assert.ok(await allShow(second));
});

test("The states of the models reach all workers", async (context) => {
  const stage = await createWorkersStage(context);
  await askThroughAll(stage);
  for (let count = 0; count < 10; count += 1) {
    const { data } = json(await ask(stage, { method: "GET", path: "/v1/models", body: null })) as unknown as {
      data: { id: string; status: string; created: number }[];
    };
    assert.deepEqual(
      data.map(({ id, status }) => [id, status]),
      [
        ["alpha", "awake"],
        ["org/beta", "stopped"],
      ],
    );
  }
});
