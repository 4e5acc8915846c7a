import assert from "node:assert/strict";
import { test } from "node:test";
import { EnginePorts } from "./engine-ports.ts";

/** The system offers these for port 0, one after the other. */
function offering(...offers: number[]) {
  return (_host: string, port: number): Promise<number> => Promise.resolve(port === 0 ? (offers.shift() ?? 0) : port);
}

test("a free port is none that another model is configured for, or was given before", async () => {
  const ports = new EnginePorts([8_001], offering(8_001, 40_000, 40_000, 40_001));
  assert.equal(await ports.claim("a", "127.0.0.1", null), 40_000);
  // The engine of a is still loading: nobody listens there yet.
  assert.equal(await ports.claim("b", "127.0.0.1", null), 40_001);
});

test("two that are asked for at the same moment are two", async () => {
  const ports = new EnginePorts([], offering(40_000, 40_000, 40_001));
  const both = await Promise.all([ports.claim("a", "127.0.0.1", null), ports.claim("b", "127.0.0.1", null)]);
  assert.deepEqual(both.toSorted(), [40_000, 40_001]);
});

test("a model may get its own old port again, and a configured port is claimed as it is", async () => {
  const ports = new EnginePorts([8_001], offering(40_000, 40_000));
  assert.equal(await ports.claim("a", "127.0.0.1", null), 40_000);
  assert.equal(await ports.claim("a", "127.0.0.1", null), 40_000);
  assert.equal(await ports.claim("b", "127.0.0.1", 8_001), 8_001);
});

test("a port that is taken is a rejection, and a system that offers nothing else does not keep us for ever", async () => {
  const ports = new EnginePorts([8_001], (_host, port) =>
    port === 0 ? Promise.resolve(8_001) : Promise.reject(new Error("EADDRINUSE")),
  );
  await assert.rejects(ports.claim("a", "127.0.0.1", 8_001), /EADDRINUSE/);
  await assert.rejects(ports.claim("b", "127.0.0.1", null), /no free port/);
});
