/**
 * An engine that does what its client tells it to, and what the stand-in cannot: it calls tools, refuses with headers of its own,
 * and breaks connections. Started as vLLM is: `serve MODEL --port N`. The last thing that a user says is the order:
 *
 *   call a tool            calls the first of the tools; once the tool has answered, says what it answered
 *   refuse STATUS ID       refuses the first request of that id, naming 0.3 s, and answers the second
 *   hang up ID             cuts the connection of the first request of that id, and answers the second
 *   break off ID           cuts its connection in the middle of the stream
 *   which try ID           answers
 *
 * What it answers is how many requests of that id there were.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { argv } from "node:process";
import { callTool, sayText, sendEvents, type AskedChat, type Reply } from "./scripted-replies.ts";

const counts = new Map<string, number>();

const server = createServer((request, response) => {
  void take(request, response).catch((error: unknown) => {
    console.error(error);
    request.socket.destroy();
  });
});
server.listen(Number(argv[argv.indexOf("--port") + 1]), "127.0.0.1");
process.once("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  if (request.method !== "POST") {
    response.end("{}");
    return;
  }
  const chat = JSON.parse(Buffer.concat(chunks).toString()) as AskedChat;
  const isAnthropic = request.url === "/v1/messages";
  const last = chat.messages.at(-1);
  const order = typeof last?.content === "string" && last.role === "user" ? last.content : "";
  const id = order.split(" ").at(-1) ?? "";
  const count = (counts.get(id) ?? 0) + 1;
  counts.set(id, count);
  if (order.startsWith("refuse") && count === 1) return refuse(response, Number(order.split(" ")[1]));
  if (order.startsWith("hang up") && count === 1) {
    request.socket.destroy();
    return;
  }
  const wantsTool = order === "call a tool";
  const reply: Reply = wantsTool ? callTool(chat, isAnthropic) : sayText(textFor(chat, count), chat.model, isAnthropic);
  if (chat.stream !== true) {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(reply.whole));
    return;
  }
  response.setHeader("content-type", "text/event-stream; charset=utf-8");
  if (!order.startsWith("break off")) return sendEvents(response, reply.events, isAnthropic);
  const firstHalf = reply.events.slice(0, Math.ceil(reply.events.length / 2));
  // Only what has left is heard: the connection may not be cut before.
  for (const event of firstHalf) await new Promise<unknown>((resolve) => response.write(event, resolve));
  request.socket.destroy();
}

/** What a tool has answered, or else how many requests there were. */
function textFor(chat: AskedChat, count: number): string {
  const last = chat.messages.at(-1);
  if (last?.role === "tool") return `it said ${JSON.stringify(last.content)}`;
  return Array.isArray(last?.content) ? `it said ${JSON.stringify(last.content)}` : `try ${count}`;
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-type": "application/json", "retry-after-ms": "300", "retry-after": "1" });
  response.end(JSON.stringify({ error: { message: "the engine is full", type: "engine_full", param: null, code: 7 } }));
}
