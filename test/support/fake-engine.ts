/**
 * A tiny inference server, for engines that are known by their orders only: `node fake-engine.ts PORT [--load-ms N] [--detach]
 * [--die-on PATH] [--exit-on PATH] [--ill-on PATH] [--health PATH] [--fall-ill FILE]`. It keeps a list of the requests that changed its state, which GET /calls tells.
 *
 * Health is 503 while it loads, and after a request to the path of --ill-on. /release… and /sleep put it to sleep, /resume… and /wake wake it; everything else answers who it is.
 * With --fall-ill the first one that finds no such file makes it, answers a question with 500, is not well from then on, and soon ends.
 * With --detach it starts itself once more in a session of its own and returns, as `docker run -d` does, after `--linger-ms`; `--pid-file` says where.
 */
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: {
    port: { type: "string" },
    "load-ms": { type: "string", default: "0" },
    "die-on": { type: "string" },
    "exit-on": { type: "string" },
    "ill-on": { type: "string" },
    detach: { type: "boolean" },
    "linger-ms": { type: "string" },
    "pid-file": { type: "string" },
    health: { type: "string", default: "/health" },
    "fall-ill": { type: "string" },
  },
});

if (values.detach === true) {
  const [node, ...args] = [
    process.execPath,
    import.meta.filename,
    ...process.argv.slice(2).filter((word) => word !== "--detach"),
  ];
  // Another session, and no marker in its environment: nobody who looks for relatives finds it.
  spawn(node, args, { detached: true, stdio: "ignore", env: { PATH: process.env["PATH"] ?? "" } }).unref();
  if (typeof values["linger-ms"] === "string") setTimeout(() => {}, Number(values["linger-ms"]));
} else {
  if (typeof values["pid-file"] === "string") writeFileSync(values["pid-file"], String(process.pid));
  serve(Number(values.port ?? positionals[0]));
}

function serve(port: number): void {
  const readyAtMs = performance.now() + Number(values["load-ms"]);
  const calls: string[] = [];
  let [isAsleep, isIll] = [false, false];
  const server = createServer((request, response) => {
    const { url = "", method = "", headers } = request;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      if (url === values["die-on"]) process.exit(1);
      if (url === values["exit-on"]) process.exit(0);
      if (url === values["ill-on"]) isIll = true;
      if (url === "/calls") return answer(response, 200, calls);
      if (url === values.health) return answer(response, isIll || performance.now() < readyAtMs ? 503 : 200, {});
      if (url === "/health") return answer(response, 404, {});
      if (typeof values["fall-ill"] === "string" && !existsSync(values["fall-ill"])) {
        writeFileSync(values["fall-ill"], "");
        isIll = true;
        setTimeout(() => process.exit(1), 300);
        return answer(response, 500, {});
      }
      calls.push(`${method} ${url} ${body}`.trim());
      if (/sleep|release/.test(url)) isAsleep = true;
      if (/wake|resume/.test(url)) isAsleep = false;
      return answer(response, 200, {
        isAsleep,
        authorization: headers.authorization ?? null,
        env: process.env["MARK"] ?? null,
        args: process.argv.slice(2),
      });
    });
  });
  process.stdout.write("the fake engine is here\n");
  server.listen(port, "127.0.0.1");
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status).end(JSON.stringify(value));
}
