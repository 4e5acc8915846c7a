/**
 * Load from a process of its own: each connection asks again as soon as it has its answer, until the time is over. Prints how many
 * answers there were. Arguments: port, connections, seconds, bytes of a request's body, key.
 */
import { AWAKE_MODEL, chatBody, requestBytes } from "./exchanges.ts";
import { Wire } from "./wire.ts";

const [port = 0, connections = 0, seconds = 0, bytes = 0] = process.argv.slice(2, 6).map(Number);
const request = requestBytes(process.argv[6] ?? "", "json", chatBody(AWAKE_MODEL, false, bytes));
const wires = await Promise.all(Array.from({ length: connections }, () => Wire.open(port)));
const untilMs = performance.now() + seconds * 1_000;
let answers = 0;

async function work(wire: Wire): Promise<void> {
  while (performance.now() < untilMs) {
    const { status } = await wire.ask(request);
    if (status !== 200) throw new Error(`the answer was ${status}`);
    answers += 1;
  }
  wire.close();
}

await Promise.all(wires.map(work));
console.log(answers);
