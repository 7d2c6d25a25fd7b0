#!/usr/bin/env bash
# Check this project on a machine with an NVIDIA GPU, in calls of less than ten minutes, the most
# important first:
#
#     bash ci/gpu.sh bits        NumPy's bits on CuPy, PyTorch and JAX; exact products
#     bash ci/gpu.sh tests       the default tests on CuPy
#     bash ci/gpu.sh benchmark   what an operation costs; the benchmark
#     bash ci/gpu.sh others      the default tests on PyTorch's CUDA and on JAX's GPU
#
# Each is a run of pytest, and further arguments are pytest's: `bash ci/gpu.sh benchmark -k "fit or
# inference"`.  On the emulated card (ci/cupy_on_cpu) CuPy runs alone, in small sizes: PyTorch and JAX
# do not know that card.
#
# OUT (default benchmarks/results/gpu) gets PART.md, a report of one page; PART.json, the same for
# programs; PART.xml, pytest's results; PART.txt, its output, which grows meanwhile; and of the
# benchmark benchmark.tar.gz with its files.  After LIMIT seconds (default 560) pytest is
# interrupted, and what was done is reported.  Exit code 0: everything passed.
#
# PYTHON (default python3) has CuPy, PyTorch and JAX with CUDA, and what the extra "test" lists.
# What it lacks may be in WHEELS, a folder, and is installed for this call alone.  For a Python 3.12
# with pytest, pytest-xdist, hypothesis, mpmath, typer, safetensors, threadpoolctl, scikit-learn and
# matplotlib, that folder is filled on a machine with a network by
#
#     pip download --no-deps --only-binary :all: --python-version 3.12 --dest WHEELS \
#         array-api-compat array-api-strict filelock msgspec pooch platformdirs 'setuptools>=77'
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-}
shift || true
python=${PYTHON:-python3}
cupy=cupy torch=torch:cuda jax=jax:gpu workers=(6 8 12) files=()
# All recorded runs, but two on JAX, which compiles each operation.
runs="$cupy or $torch or $jax and (sgd and pixels and float32 or many and float64)"
required="$cupy $torch $jax"
export GPU_EMULATED=${GPU_EMULATED-$("$python" -c "import cuda_on_cpu; print('yes')" 2>/dev/null)}
if [ -n "$GPU_EMULATED" ]; then
    workers=(2 2 2) runs="cupy and pixels" required=cupy
    files=(tests/backends/test_conformance.py tests/arrays/test_shortcuts.py)
fi
require() { # these backends: a test fails where they are missing
    local names=$*
    export PLUGGABLE_MLP_REQUIRE_BACKENDS=${names// /,}
}
case $part in
bits)
    require $required
    selected=(-n "${workers[0]}" --dist worksteal -m "" -k "gpu_bits or $runs"
        ci/gpu_bits.py tests/test_recorded_runs.py)
    ;;
tests)
    require "$cupy"
    export JAX_PLATFORMS=cpu  # each process of JAX would take its share of the card
    selected=(-n "${workers[1]}" "${files[@]}" -k "$cupy")
    ;;
benchmark) selected=(-n 1 ci/gpu_benchmark.py) ;;
others)
    if [ -n "$GPU_EMULATED" ]; then
        echo "left out on the emulated card: $torch, $jax"
        exit
    fi
    require "$torch" "$jax"
    selected=(-n "${workers[2]}" -k "$torch or $jax")
    ;;
*)
    echo "usage: bash ci/gpu.sh bits|tests|benchmark|others [pytest's arguments]" >&2
    exit 2
    ;;
esac
out=${OUT:-benchmarks/results/gpu}
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out/$part".*
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ -n "${WHEELS:-}" ]; then
    # A folder in the path, no virtual environment: CuPy looks for CUDA's libraries of pip in the
    # site-packages of the running one alone.
    install=("$python" -m pip install --quiet --no-index --no-deps --target "$scratch/site")
    "${install[@]}" "$WHEELS"/*.whl
    export PYTHONPATH=$scratch/site:$PWD${PYTHONPATH:+:$PYTHONPATH}
    "${install[@]}" --no-build-isolation --editable .
fi
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # JAX would take three quarters of the card's memory
export CUPY_NVRTC_USE_PCH=1                 # precompiled headers: kernels compile faster
export GPU_FILES=$scratch/benchmark
{
    nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader
    "$python" -m pluggable_mlp backends
    "$python" -m pip --disable-pip-version-check list | grep -iE "^(array|cupy|jax|numpy|nvidia|torch)"
    env | grep -E "^(CUBLAS|CUDA|CUPY|JAX|NVIDIA_TF32|PYTORCH|TORCH|XLA)" | sort
} &>"$scratch/machine.txt" || true

# Workers of pytest-xdist: one that crashes or hangs is a failed test, and the others go on.  What
# newer versions than CI's deprecate (-W) is not the device's fault.
passed=yes
left=$((${LIMIT:-560} - SECONDS))
[ "$left" -gt 0 ] || left=1  # 0 would be no limit
env --default-signal=INT timeout --signal INT --kill-after 20 "$left" \
    "$python" -m pytest -v -rfE --tb short -W default -p no:cacheprovider \
    --junitxml "$out/$part.xml" -o junit_logging=all --continue-on-collection-errors \
    "${selected[@]}" "$@" 2>&1 | tee "$out/$part.txt" || passed=no
if [ -d "$GPU_FILES" ]; then tar -czf "$out/$part.tar.gz" -C "$scratch" benchmark; fi
"$python" ci/gpu_report.py "$out/$part.xml" "$scratch/machine.txt" || passed=no
[ "$passed" = yes ]
