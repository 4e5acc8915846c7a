import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ask, chat, json, open, RawClient } from "./testing/client.ts";
import { collectGarbage } from "./testing/garbage.ts";
import { createStage, until, type Stage, type StageOptions } from "./testing/stage.ts";

const SPOOLED: StageOptions = { bodyBytesMax: 60_000_000, limits: { memoryBytesMax: 10_000 } };

/** A stage whose large bodies go to a folder of its own. When the test is over, none of them may be open. */
async function spoolStage(context: TestContext, options: StageOptions = SPOOLED): Promise<Stage & { folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), "llmux-bodies-"));
  context.after(async () => {
    await until(() => openFilesBelow(folder).length === 0, "the bodies on disk are closed");
    assert.deepEqual(readdirSync(folder), []);
    rmSync(folder, { recursive: true });
  });
  return Object.assign(await createStage(context, { ...options, spoolFolder: folder }), { folder });
}

function openFilesBelow(folder: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      return [];
    }
  });
}

const FORM_HEADERS = { "content-type": 'multipart/form-data; boundary="b"' };

function form(model: string, file: Buffer): Buffer {
  const before =
    '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n';
  const behind = `\r\n--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n${model}\r\n--b--\r\n`;
  return Buffer.concat([Buffer.from(before), file, Buffer.from(behind)]);
}

for (const path of ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits"]) {
  test(`A form for ${path} goes to the model behind its file, byte for byte`, async (context) => {
    const stage = await spoolStage(context);
    for (const [model, id, bytes] of [
      ["first", "alpha", 100],
      ["org/beta", "org/beta", 2_000_000],
    ] as const) {
      const body = form(model, randomBytes(bytes));
      const reply = await ask(stage, { path, headers: FORM_HEADERS, body });
      assert.equal(reply.status, 200);
      assert.ok(stage.engine(id).received.at(-1)?.body.equals(body));
      assert.equal(stage.engine(id).received.at(-1)?.headers["content-length"], String(body.length));
      assert.equal(stage.engine(id).received.at(-1)?.headers["content-type"], FORM_HEADERS["content-type"]);
    }
  });
}

test("A model behind a file of 25 MB is found, and the file is never in memory as a whole", async (context) => {
  const stage = await spoolStage(context, { ...SPOOLED, onBringUp: () => {} });
  const piece = randomBytes(65_536);
  const pieces = 400;
  const [before = "", behind = ""] = form("alpha", Buffer.from("|")).toString().split("|");
  const length = before.length + pieces * piece.length + behind.length;
  const client = await RawClient.open(stage);
  collectGarbage();
  const memoryBefore = process.memoryUsage().arrayBuffers;
  client.socket.write(
    `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-type: ${FORM_HEADERS["content-type"]}\r\n` +
      `content-length: ${length}\r\n\r\n${before}`,
  );
  for (let index = 0; index < pieces; index += 1) {
    if (!client.socket.write(piece)) await once(client.socket, "drain");
  }
  client.socket.write(behind);
  await until(() => stage.desk.waiting === 1, "the request waits");
  // What is collected is freed in the background.
  const isSmall = (): boolean => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers - memoryBefore < length / 4;
  };
  await until(isSmall, "the body is not in memory");
  assert.equal(openFilesBelow(stage.folder).length, 1);
  void stage.bringUp("alpha");
  await client.until(/^HTTP\/1\.1 200 /);
  client.socket.destroy();
  assert.equal(stage.engine("alpha").received[0]?.body.length, length);
});

test("A large JSON body is kept on disk, judged like a small one, and goes on byte for byte", async (context) => {
  const stage = await spoolStage(context);
  const large = "ä🙂".repeat(500_000);
  const body = chat("org/beta", { text: large });
  assert.equal((await ask(stage, { body })).status, 200);
  assert.equal(stage.engine("org/beta").received[0]?.body.toString(), body);
  for (const [wrong, message] of [
    [chat("gamma", { text: large }), /does not exist/],
    [`{"model":"alpha","x":"${large}","model":"alpha"}`, /more than once/],
    [`{"x":"${large}"}`, /must name a model/],
    [`{"model":"alpha","x":"${large}"`, /ends too early/],
    [`["${large}"]`, /it is an array/],
  ] as const) {
    assert.match(String(json(await ask(stage, { body: wrong })).error?.["message"]), message);
  }
});

test("A body on disk is sent again to the next life of its engine", async (context) => {
  const stage = await spoolStage(context, { ...SPOOLED, limits: { memoryBytesMax: 10_000, crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  engine.handler = (response, received) => (engine.lives === 1 ? stage.crash("alpha") : response.end(received.body));
  const body = form("alpha", randomBytes(500_000));
  const reply = await ask(stage, { path: "/v1/audio/transcriptions", headers: FORM_HEADERS, body });
  assert.ok(reply.body.equals(body));
  assert.equal(engine.received.length, 2);
});

test("A client that goes away while its large body comes, waits or is sent leaves nothing on disk", async (context) => {
  const stage = await spoolStage(context, { ...SPOOLED, onBringUp: () => {} });
  const half = await RawClient.open(stage);
  const head = `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n`;
  half.socket.write(`${head}content-type: ${FORM_HEADERS["content-type"]}\r\n\r\n--b\r\n${"x".repeat(100_000)}`);
  await until(() => openFilesBelow(stage.folder).length === 1, "the body is on disk");
  half.socket.destroy();
  await until(() => openFilesBelow(stage.folder).length === 0, "the body is gone");
  const waiting = open(stage, { body: chat("alpha", { x: "x".repeat(100_000) }) });
  waiting.catch(() => {});
  await until(() => stage.desk.waiting === 1, "the request waits");
  assert.equal(openFilesBelow(stage.folder).length, 1);
  stage.gateway.destroy();
  await assert.rejects(waiting);
  await until(() => openFilesBelow(stage.folder).length === 0, "the body is gone");
});

test("A body over the limit is refused although the rest of it would be on disk", async (context) => {
  const stage = await spoolStage(context, { bodyBytesMax: 200_000, limits: { memoryBytesMax: 10_000 } });
  const client = await RawClient.open(stage);
  client.socket.write("POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
  const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
  const pump = setInterval(() => client.socket.write(chunk), 1);
  await client.until(/^HTTP\/1\.1 413 [^]*}}$/);
  clearInterval(pump);
  client.socket.destroy();
});

test("A disk that takes no body is a 500 that says so, and small bodies go on", async (context) => {
  const stage = await createStage(context, { ...SPOOLED, spoolFolder: "/there/is/no/such/folder" });
  const reply = await ask(stage, { body: chat("alpha", { x: "x".repeat(100_000) }) });
  assert.equal(reply.status, 500);
  assert.equal(json(reply).error?.["code"], "body_not_kept");
  assert.match(String(json(reply).error?.["message"]), /could not be kept: .*ENOENT/);
  assert.equal((await ask(stage)).status, 200);
});

test("With model-override a body of any size and form goes on unread", async (context) => {
  const stage = await spoolStage(context);
  for (const body of ["nonsense", "x".repeat(100_000)]) {
    const reply = await ask(stage, { body, headers: { "model-override": "org/beta" } });
    assert.equal(reply.status, 200);
    assert.equal(stage.engine("org/beta").received.at(-1)?.body.toString(), body);
  }
});
