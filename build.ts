/** Bundles the commands and the library into dist/, for Node 22 and later: Node runs no TypeScript below node_modules. */
import { rmSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
await build({
  entryPoints: {
    llmux: "src/main.ts",
    "mock-vllm": "src/mock-vllm/main.ts",
    index: "src/index.ts",
    // The thread of a gateway's worker.
    "gateway-worker": "src/workers/worker-main.ts",
  },
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node22",
  // Installed beside the bundle; pino and prom-client load files of their own at run time.
  packages: "external",
  legalComments: "none",
  logLevel: "warning",
});
