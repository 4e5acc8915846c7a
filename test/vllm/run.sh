#!/usr/bin/env bash
# Tests llmux over a real vLLM on the CPU: makes the environment and the models if they are not there, and runs the tests.
# Whatever happens, also when it is interrupted, no process and no file in /tmp is left.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
models=$root/.cache/vllm-models
PATH="$root/node_modules/.bin:$PATH"

say() { echo "vllm test: $* ($((SECONDS)) s)" >&2; }

vllm=$(bash "$here/setup.sh")
say "vLLM is there"

stamp=$(sha256sum <"$here/make-models.py")
if [ "$(cat "$models/made-from" 2>/dev/null)" != "$stamp" ]; then
  rm -rf "$models"
  HF_HUB_OFFLINE=1 "$(dirname "$vllm")/python" "$here/make-models.py" "$models" >/dev/null
  echo "$stamp" >"$models/made-from"
fi
say "the models are there"

# Everything that the tests start, and they themselves, work in folders below $run.
source "$root/test/support/run-folder.sh"

mkdir "$run/tests"

# One core is left to the tests and llmux: on two cores, both polled by vLLM, clients hang up long after their time (README.md).
command=$vllm
if command -v taskset >/dev/null && [ "$(nproc)" -gt 1 ]; then
  printf '#!/bin/sh\nexec taskset -c 0-%s "%s" "$@"\n' "$(($(nproc) - 2))" "$vllm" >"$run/vllm"
  chmod +x "$run/vllm"
  command=$run/vllm
fi
export LLMUX_VLLM_RUN=$run LLMUX_VLLM_COMMAND=$command LLMUX_VLLM_PYTHON=$(dirname "$vllm")/python LLMUX_VLLM_MODELS=$models
# In the background, since a trap has to wait for what is in the foreground.
(cd "$run/tests" && exec node --test --test-concurrency=1 --test-timeout=900000 "$here"/*.test.ts) &
wait $!
say "done"
