/** The help text and the version of the command. */
import { faultTable } from "./faults.ts";
import { settingTable, variableOf } from "./settings.ts";

/** What `mock-vllm --help` prints. */
export function helpText(): string {
  const settings = Object.values(settingTable).map(({ name, about }) =>
    row(`--mock-${name}`, `${about} [${variableOf(name)}]`),
  );
  const faults = Object.entries(faultTable).map(([name, about]) => row(name, about));
  return `mock-vllm: behaves like vLLM, on pretend GPUs

  mock-vllm serve MODEL [vLLM's flags] [--mock-… flags]
  mock-vllm nvidia-smi [--query-gpu=FIELDS | --query-compute-apps=FIELDS] --format=csv[,noheader][,nounits]
  mock-vllm ledger [--json [--audit]]
  mock-vllm ledger reset
  mock-vllm --help | --version

Flags of vLLM that it acts on; all others are accepted and ignored:
  --host --port --uds --served-model-name --enable-sleep-mode --gpu-memory-utilization --tensor-parallel-size --api-key
  --max-model-len --max-num-seqs --shutdown-timeout --enable-request-id-headers --disable-uvicorn-access-log
Environment: VLLM_SERVER_DEV_MODE CUDA_VISIBLE_DEVICES VLLM_HTTP_TIMEOUT_KEEP_ALIVE VLLM_API_KEY NO_COLOR

Settings, as a flag or a variable:
${settings.join("")}
Faults, as --mock-faults "wake-oom*1,leak=64MiB" or POST /mock/faults {"wake-oom":{"times":1},"leak":{"value":"64MiB"}}:
${faults.join("")}
Exit codes: 0 after SIGTERM, and after EngineCore's death; 1 for a start that failed; 2 for arguments that make no sense.
`;
}

function row(name: string, about: string): string {
  return `  ${name.padEnd(26)} ${about}\n`;
}
