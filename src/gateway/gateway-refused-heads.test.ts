/** What is refused before it is a request, or in the middle of one, is told of in one record that agrees with the answer. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { chat, RawClient } from "./testing/client.ts";
import { createStage, until } from "./testing/stage.ts";

const LIMITS = { headersTimeoutMs: 100, requestTimeoutMs: 100, timeoutCheckMs: 20 };

const HOST = "host: x\r\n";

/** What comes, the status of its answer, and what its record says of the reason. */
const HEADS: Readonly<Record<string, readonly [string, number, string]>> = {
  "no HTTP at all": ["hello\r\n\r\n", 400, "This is not a valid HTTP/1.1 request."],
  "a greeting by TLS": ["\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400, "This is not a valid HTTP/1.1 request."],
  "nothing but line ends": ["\r\n".repeat(100), 400, "This is not a valid HTTP/1.1 request."],
  "both lengths": [
    `POST /tokenize HTTP/1.1\r\n${HOST}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    "This is not a valid HTTP/1.1 request.",
  ],
  "another version": [`GET / HTTP/3.0\r\n${HOST}\r\n`, 400, "This is not a valid HTTP/1.1 request."],
  "two hosts": ["GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400, "This is not a valid HTTP/1.1 request."],
  "a list of hosts": ["GET / HTTP/1.1\r\nhost: x, y\r\n\r\n", 400, "This is not a valid HTTP/1.1 request."],
  "a host with a user": ["GET / HTTP/1.0\r\nhost: user@x\r\n\r\n", 400, "This is not a valid HTTP/1.1 request."],
  "endless headers": [`GET / HTTP/1.1\r\n${HOST}a: ${"x".repeat(20_000)}\r\n\r\n`, 431, "The headers are too large."],
  "half a head": ["GET / HTTP/1.1\r\nho", 408, "The request did not arrive in time."],
};

for (const [what, [bytes, status, reason]] of Object.entries(HEADS)) {
  test(`A head that is ${what} leaves one record, which says what its answer says`, async (context) => {
    const stage = await createStage(context, { limits: LIMITS });
    const client = await RawClient.open(stage);
    client.socket.write(bytes, "latin1");
    const answer = await client.untilClosed();
    // Whatever comes behind it is none of a request's business.
    client.socket.end("GET / HTTP/1.1\r\n");
    const [head = "", body = ""] = answer.split("\r\n\r\n");
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.deepEqual(JSON.parse(body), {
      error: { message: reason, type: "invalid_request_error", param: null, code: "invalid_request" },
    });
    await until(() => stage.access.length > 0, "the record");
    const { requestId, arrivedAtEpochMs, ...rest } = stage.access[0] ?? assert.fail();
    assert.match(head, new RegExp(`\r\nx-request-id: ${requestId}(?:\r\n|$)`));
    assert.ok(Math.abs(Date.now() - arrivedAtEpochMs) < 60_000);
    const bytesIn = Math.min(rest.bytesIn, bytes.length);
    assert.ok(bytesIn > 0, "what came is counted");
    assert.deepEqual(rest, {
      method: null,
      route: null,
      model: null,
      status,
      outcome: "refused",
      durationMs: 0,
      waitedMs: 0,
      bytesIn,
      bytesOut: body.length,
      promptTokens: null,
      outputTokens: null,
      failure: { code: "invalid_request", message: reason },
    });
    await until(() => client.socket.destroyed, "the end");
    assert.equal(stage.access.length, 1);
  });
}

test("Whoever connects and says nothing leaves no record, and neither does one who hangs up before a head is there", async (context) => {
  const stage = await createStage(context, { limits: LIMITS });
  const silent = await RawClient.open(stage);
  assert.match(await silent.untilClosed(), /^HTTP\/1\.1 408 /);
  const shy = await RawClient.open(stage);
  shy.socket.end("GET / HT");
  await shy.untilClosed();
  const last = await RawClient.open(stage);
  last.socket.write("nonsense\r\n\r\n");
  await last.untilClosed();
  await until(() => stage.access.length > 0, "a record");
  assert.deepEqual(
    stage.access.map(({ status }) => status),
    [400],
  );
});

test("A head that is broken behind an answer leaves a record of its own", async (context) => {
  const stage = await createStage(context);
  const client = await RawClient.open(stage);
  client.send("POST", "/v1/completions", chat("alpha"));
  client.socket.write("nonsense\r\n\r\n");
  assert.match(await client.untilClosed(), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 400 /);
  assert.deepEqual(
    stage.access.map(({ status, outcome }) => [status, outcome]),
    [
      [200, "served"],
      [400, "refused"],
    ],
  );
});

const BODIES: Readonly<Record<string, readonly [string, number, string]>> = {
  "a chunk without a size": ["transfer-encoding: chunked\r\n\r\nzz\r\n", 400, "This is not a valid HTTP/1.1 request."],
  "a trailer that is a length": [
    "transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 5\r\n\r\n",
    400,
    "This is not a valid HTTP/1.1 request.",
  ],
  "endless extensions": [
    `transfer-encoding: chunked\r\n\r\n5;${"x".repeat(100_000)}`,
    413,
    "The chunk extensions are too large.",
  ],
  "less than its length": ["content-length: 1000\r\n\r\n{", 408, "The request did not arrive in time."],
};

for (const [what, [rest, status, reason]] of Object.entries(BODIES)) {
  test(`A body with ${what} leaves a record with the reason, the bytes and the id of its answer`, async (context) => {
    const stage = await createStage(context, { limits: LIMITS });
    for (const path of ["/v1/completions", "/v1/messages"]) {
      stage.access.length = 0;
      const client = await RawClient.open(stage);
      client.socket.write(`POST ${path} HTTP/1.1\r\n${HOST}${rest}`);
      const [head = "", body = ""] = (await client.untilClosed()).split("\r\n\r\n");
      client.socket.end();
      await until(() => stage.access.length > 0, "the record");
      const record = stage.access[0] ?? assert.fail();
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nx-request-id: ${record.requestId}\r\n`));
      if (path === "/v1/messages") assert.match(body, new RegExp(`"request_id":"${record.requestId}"`));
      assert.deepEqual(
        [record.method, record.route, record.status, record.outcome, record.bytesOut],
        ["POST", path, status, "refused", body.length],
      );
      assert.deepEqual(record.failure, { code: "invalid_request", message: reason });
      assert.equal(stage.access.length, 1);
    }
  });
}

test("A refusal has one id, in its answer and in its record, whether or not the client has sent one", async (context) => {
  const stage = await createStage(context);
  for (const id of ["", "x-request-id: mine\r\n"]) {
    for (const [path, more] of [
      ["/nowhere", ""],
      ["/v1/completions", "content-encoding: gzip\r\n"],
    ] as const) {
      stage.access.length = 0;
      const client = await RawClient.open(stage);
      client.send("POST", path, chat("alpha"), `${id}${more}connection: close\r\n`);
      const answer = await client.untilClosed();
      await until(() => stage.access.length > 0, "the record");
      assert.ok(answer.includes(`\r\nx-request-id: ${stage.access[0]?.requestId}\r\n`), answer);
      if (id !== "") assert.equal(stage.access[0]?.requestId, "mine");
    }
  }
});

const WITHOUT_HOST = "GET /health HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n";

test("A request without a Host is a 400 that ends its connection, unless it is of HTTP/1.0", async (context) => {
  const stage = await createStage(context);
  const client = await RawClient.open(stage);
  client.socket.write(WITHOUT_HOST);
  const answer = await client.untilClosed();
  assert.match(answer, /^HTTP\/1\.1 400 [^]*\r\nconnection: close\r\n/);
  assert.match(answer, /The request has no Host header\./);
  assert.equal(answer.match(/^HTTP\/1\.1 \d/gm)?.length, 1, "nothing behind it is answered");
  assert.deepEqual(
    stage.access.map(({ status, failure }) => [status, failure?.code]),
    [[400, "invalid_request"]],
  );
  const old = await RawClient.open(stage);
  old.socket.write("GET /health HTTP/1.0\r\n\r\n");
  assert.match(await old.untilClosed(), /^HTTP\/1\.1 200 /);
});

test("That is what Node's own server does with it", async (context) => {
  const server = createServer((_request, response) => response.end());
  context.after(() => server.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const client = new RawClient(address.port);
  client.socket.write(WITHOUT_HOST);
  const answer = await client.untilClosed();
  client.socket.end();
  assert.match(answer, /^HTTP\/1\.1 400 [^]*\r\nconnection: close\r\n/i);
  assert.equal(answer.match(/^HTTP\/1\.1 \d/gm)?.length, 1);
});
