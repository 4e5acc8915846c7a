/** Ports for the gateways of tests that run side by side. */
import { randomInt } from "node:crypto";
import { claimPort } from "../../../src/platform/loopback-port.ts";

/** Below the range from which the system hands out ports by itself: nobody gets ours between our look and our use. */
const FIRST = 10_240;
const LAST = 32_000;

/** A loopback port at which nobody listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, LAST);
    if (await claimPort("127.0.0.1", port).then(Boolean, () => false)) return port;
  }
}
