#!/bin/sh
# Put an emulated NVIDIA GPU under CuPy in a virtual environment; see README.md.
#
#     sh ci/cupy_on_cpu/build.sh ENVIRONMENT
#
# An environment that is not there is made with $PYTHON (default python3).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
refuse() {
    echo "ci/cupy_on_cpu/build.sh: $1" >&2
    exit 1
}
[ $# = 1 ] || refuse "expected one argument, the folder of a virtual environment"
[ "$(uname -sm)" = "Linux x86_64" ] || refuse "expected Linux on x86-64, this is $(uname -sm)"
grep -qw fma /proc/cpuinfo || refuse "this processor has no fused multiply-add, which CUDA uses"
for tool in g++ nm; do
    command -v $tool >/dev/null || refuse "$tool is missing; on Debian: apt install g++"
done
[ -x "$1/bin/python" ] || "${PYTHON:-python3}" -m venv "$1"
python=$(cd "$1" && pwd)/bin/python
"$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    refuse "Python.h is missing; on Debian: apt install python3-dev"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip install -q -r "$here/requirements.txt" ||
    refuse "pip cannot install requirements.txt: no network, or no wheel for $("$python" -V)"
cupy=$("$python" -c 'import importlib.metadata as m; print(m.version("cupy-cuda13x"))')
# The sources of three modules.  With READTHEDOCS, CuPy's setup.py asks for no CUDA.
READTHEDOCS=True "$python" -m pip download -q --no-deps --no-binary cupy "cupy==$cupy" -d "$work" ||
    refuse "pip cannot download the sources of CuPy $cupy: no network, or no such release"
tar -xzf "$work/cupy-$cupy.tar.gz" -C "$work"
"$python" "$here/install.py" "$work/cupy-$cupy" "$work"
"$python" -c 'import cupy; assert int(cupy.arange(10).sum()) == 45' ||
    refuse "CuPy does not compute on the emulated card"
echo "CuPy $cupy in $1 has an emulated card"
