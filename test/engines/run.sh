#!/usr/bin/env bash
# Tests llmux over a real llama-server: makes it and its model if they are not there, and runs the tests. No process is left.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
PATH="$root/node_modules/.bin:$PATH"

made=$(bash "$here/setup.sh")
LLMUX_LLAMA_SERVER=$(sed -n 1p <<<"$made")
LLMUX_LLAMA_MODEL=$(sed -n 2p <<<"$made")
export LLMUX_LLAMA_SERVER LLMUX_LLAMA_MODEL

# Everything that the tests start works in a folder below $run, and is found by it.
source "$root/test/support/run-folder.sh"

mkdir "$run/tests"
export LLMUX_ENGINES_RUN=$run/tests
# In the background, since a trap has to wait for what is in the foreground.
(cd "$run/tests" && exec node --test --test-concurrency=1 --test-timeout=300000 "$here"/*.test.ts) &
wait $!
