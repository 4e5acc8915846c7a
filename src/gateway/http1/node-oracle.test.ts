/** Node's parser, in its strict default, as the judge of ours. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { allHeard, hear, NodeServer, type Heard, type HeardRequest } from "./testing/heard-requests.ts";
import { Chance, inPieces, mutated, randomRequests } from "./testing/random-bytes.ts";

/** More by hand, with CASES. */
const CASES = Number(process.env["CASES"] ?? 5_000);
/** Of the first case; each has its own. */
const SEED = Number(process.env["SEED"] ?? randomInt(1_000_000_000));

test("What is accepted here, Node accepts too, and finds the same in it", async (context) => {
  context.diagnostic(`SEED=${SEED} CASES=${CASES}`);
  const node = new NodeServer();
  let accepted = 0;
  for (let seed = SEED; seed < SEED + CASES; seed += 1) {
    const chance = new Chance(seed);
    const text = mutated(randomRequests(chance), chance);
    const pieces = inPieces(Buffer.from(text, "latin1"), chance);
    const ours = hear(pieces);
    const theirs = node.hear(pieces);
    await allHeard(ours, theirs);
    accepted += ours.requests.filter(({ isWhole }) => isWhole).length;
    judge(ours, theirs, `SEED=${seed} ${JSON.stringify(text)}`);
  }
  assert.ok(accepted > CASES / 20, `only ${accepted} requests were accepted`);
});

test("What is right is accepted by both", async () => {
  const node = new NodeServer();
  const pieces = [
    "\r\nPOST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhiPOST /b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    "2;a=b\r\nho\r\n0\r\nx: y\r\n\r\nGET /c HTTP/1.0\r\n\r\n",
  ].map((text) => Buffer.from(text));
  const [ours, theirs] = [hear(pieces), node.hear(pieces)];
  await allHeard(ours, theirs);
  assert.deepEqual(
    ours.requests.map(({ url, body, isWhole }) => [url, body, isWhole]),
    [
      ["/a", "hi", true],
      ["/b", "ho", true],
      ["/c", "", true],
    ],
  );
  assert.deepEqual(ours, theirs);
});

/** The next request begins at the same byte if it is the same. */
function judge(ours: Heard, theirs: Heard, what: string): void {
  for (const [index, one] of ours.requests.entries()) {
    // One that is not yet whole is not yet accepted; there it must only be read in the same way as far as it goes.
    if (!one.isWhole && (ours.fault !== null || theirs.fault !== null)) return;
    assert.deepEqual(one, theirs.requests[index], what);
    // Whoever asks for another protocol is not listened to any more by Node, even if it is refused.
    if (asksForUpgrade(one)) return;
  }
}

function asksForUpgrade({ headers }: HeardRequest): boolean {
  return headers.some((text, index) => index % 2 === 0 && text === "upgrade");
}
