#!/usr/bin/env bash
# The suite on a machine with an NVIDIA GPU: the same tests, CuPy (and PyTorch's and JAX's GPU
# devices, where installed) required.  Run it from anywhere; it installs nothing but the project
# itself, in the interpreter that PYTHON names (default python3).  OUT (default: the folder
# benchmarks/results) receives gpu-report.txt: device, versions, and the suite's outcome.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=${OUT:-benchmarks/results}
mkdir -p "$out"
"$python" -m pip install --quiet --no-deps --no-build-isolation -e .
export PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,cupy,array_api_strict
{
    nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
    "$python" -m pip list 2>/dev/null | grep -iE '^(numpy|cupy|torch|jax|array-api)' || true
    "$python" -m pluggable_mlp.cli backends
    "$python" -m pytest -m "" -q
    "$python" -m pluggable_mlp.cli compare --backends numpy,cupy
    "$python" -m pluggable_mlp.cli compare --backends numpy,cupy --arithmetic reproducible
    "$python" -m pluggable_mlp.cli train --backend cupy --arithmetic reproducible --quiet
    "$python" -m pluggable_mlp.cli train --backend numpy --arithmetic reproducible --quiet
} 2>&1 | tee "$out/gpu-report.txt"
