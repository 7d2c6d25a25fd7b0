#!/usr/bin/env bash
# What a machine with an NVIDIA GPU has to say of this project, in calls of less than ten minutes,
# the most important first:
#
#     ci/gpu.sh bits        the same bits on CuPy, PyTorch and JAX; exactness and speed of products
#     ci/gpu.sh tests       the suite on CuPy
#     ci/gpu.sh benchmark   the benchmark
#     ci/gpu.sh others      the suite on PyTorch's CUDA and on JAX's GPU
#
# `ci/gpu.sh benchmark inference fit` takes these steps of a part alone.
#
# Whatever fails, the other steps run.  Each has a verdict in OUT/PART.json (OUT: by default
# benchmarks/results/gpu); what they print and the files that they write are in OUT/PART.tar.gz.
# Both are up to date after each group of steps.  Exit code 0: all passed.
#
# CuPy, PyTorch and JAX are those of PYTHON (default python3).  What else the tests need is
# installed into a virtual environment over it, for this call alone.  Without a network, WHEELS
# names a folder with what PYTHON lacks beside pytest, hypothesis, mpmath, requests, typer,
# safetensors, scikit-learn and matplotlib; it is filled elsewhere, for PYTHON's version, by
#
#     pip download --no-deps --only-binary :all: --python-version 3.12 --dest WHEELS \
#         array-api-compat array-api-strict 'setuptools>=77' pooch platformdirs
#
# `--dry` puts the processor in the place of each GPU and takes small sizes: the script itself is
# tried then, and what it says is of no interest.
set -euo pipefail
cd "$(dirname "$0")/.."
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # JAX would take three quarters of the card's memory
export CUPY_NVRTC_USE_PCH=1                 # precompiled headers: kernels compile faster
exec "${PYTHON:-python3}" ci/gpu.py "$@"
