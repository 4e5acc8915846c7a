"""Lets the ordinary PyPI build of torch, which is linked against CUDA, be imported on a machine without a GPU.

The loader insists on every CUDA library torch was linked with (3.4 GB installed) although a CPU process never calls
them. This puts a small library of the same name and symbol versions in the place of each missing one, beside torch's own.
Every stub function is one trapping instruction, so a call that should not happen is a crash and not a wrong answer.
cudart and cupti are called while torch is imported: those two have to be the real packages.

usage: stub-cuda.py SITE_PACKAGES     (needs gcc and binutils)
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

STUBBED = re.compile(r"lib(cublas|cublasLt|cudnn|cufft|cufile|curand|cusparse|cusparseLt|nccl|nvrtc|nvshmem_host)\.so\.\d+")
STUBBED_SYMBOL = re.compile(r"(cublas|cudnn|cufft|cuFile|curand|cusparse|nccl|nvrtc|nvshmem)")
"""cusparseLt's symbols begin like cusparse's. cuSOLVER is opened by torch only when a GPU is used."""


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wanted_by(library: Path) -> tuple[dict[str, set[str]], set[tuple[str, str]]]:
    """The missing libraries one torch library needs, each with its symbol versions; and the (symbol, version) it lacks."""
    needed = {name: set() for name in re.findall(r"NEEDED.*\[(.+?)\]", output_of("readelf", "-dW", str(library))) if STUBBED.fullmatch(name)}
    file = ""
    for line in output_of("readelf", "-VW", str(library)).splitlines():
        if found := re.search(r"File: (\S+)", line):
            file = found[1]
        elif (found := re.search(r"Name: (\S+)\s+Flags:.*Version: \d+", line)) and file in needed:
            needed[file].add(found[1])
    symbols = set()
    for line in output_of("nm", "-D", "--undefined-only", str(library)).splitlines():
        name, _, version = line.split()[-1].partition("@")
        if STUBBED_SYMBOL.match(name):
            symbols.add((name, version.lstrip("@")))
    return needed, symbols


def write_stub(path: Path, symbols: dict[str, set[str]]) -> None:
    """Links a library at `path` that defines, under each version, the given symbols ("" = without a version)."""
    names = sorted(set().union(*symbols.values()))
    assembly = ".text\n" + "".join(f".globl {n}\n.type {n},@function\n{n}:\n" for n in names) + "ud2\n" + '.section .note.GNU-stack,"",@progbits\n'
    versions = "".join(f"{v} {{ global: {' '.join(n + ';' for n in sorted(s))} }};\n" for v, s in symbols.items() if v and s)
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "stub.s"), Path(folder, "stub.map")
        source.write_text(assembly)
        script.write_text(versions)
        extra = [f"-Wl,--version-script={script}"] if versions else []
        subprocess.run(["gcc", "-shared", "-nostdlib", f"-Wl,-soname,{path.name}", *extra, "-o", str(path), str(source)], check=True)


def main() -> None:
    site = Path(sys.argv[1])
    torch = site / "torch" / "lib"
    files: dict[str, set[str]] = defaultdict(set)
    symbols: set[tuple[str, str]] = set()
    for library in sorted(torch.glob("lib*.so")):
        needed, lacking = wanted_by(library)
        symbols |= lacking
        for file, versions in needed.items():
            files[file] |= versions
    rest = {name for name, version in symbols if not version}
    for index, (file, versions) in enumerate(sorted(files.items())):
        chosen = {version: {n for n, v in symbols if v == version} for version in versions}
        if not versions:
            # Without versions it does not matter to the loader which library has a symbol.
            chosen[""] = rest
        write_stub(torch / file, chosen)
    print(f"stub-cuda: {len(files)} libraries, {len(symbols)} symbols")


main()
