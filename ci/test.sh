#!/usr/bin/env bash
# Everything that must hold before a change lands, from a clean copy of the committed tree in
# fresh virtual environments: the README's commands as they stand there; the suite once, with every
# backend required, CuPy on the emulated card of ci/cupy_on_cpu among them; some tests on the oldest
# versions of the libraries; no test skipped in each of these runs (ci/reports.py); lint, format,
# types, import layers, declared dependencies, the documentation site; and the built wheel and sdist.
# With CI_NIGHTLY=1 also ci/nightly.sh.
#
# PYTHON names the interpreter (default python3); PLUGGABLE_MLP_DATA a folder with real data, without
# which the tests that need them are skipped by name.  What JAX and CuPy compiled is kept for the
# next run: in JAX_COMPILATION_CACHE_DIR (default ~/.cache/pluggable-mlp/jax) and in CUPY_CACHE_DIR
# (CuPy's default: ~/.cupy/kernel_cache).  CuPy looks for a kernel by the paths of its headers, too:
# its environment is in the same place each time, ~/.cache/pluggable-mlp/developer, unless another
# run is using that.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scratch=$(mktemp -d)
developer=$scratch/developer
cache=${XDG_CACHE_HOME:-~/.cache}/pluggable-mlp
finish() { # show the logs that `finished` did not show, since a step failed
    wait
    for name in developer checks oldest wheel; do
        if [ -e "$scratch/$name.log" ]; then cat "$scratch/$name.log"; fi
    done
    rm -rf "$scratch" "$developer"
}
trap finish EXIT
mkdir -p "$cache"
exec 9>"$cache/developer.lock"
if flock -n 9; then developer=$cache/developer; fi
export PYTHON=${PYTHON:-python3}
unset PYTHONDONTWRITEBYTECODE  # hundreds of processes that the tests start would compile all anew
unset OPENBLAS_CORETYPE        # the kernels of this processor, but where a step says otherwise
step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

environment() { # its folder, and what to install, without bytecode: most modules are not imported
    "$PYTHON" -m venv --clear "$1"
    "$1/bin/python" -m pip install --quiet --no-compile "${@:2}"
}
declare -A processes
beside() { # run a function beside what comes next
    ("$1") >"$scratch/$1.log" 2>&1 &
    processes[$1]=$!
}
finished() { # wait for it, and show what it said
    wait "${processes[$1]}"
    cat "$scratch/$1.log"
    rm "$scratch/$1.log"
}

step "a clean copy, and a second one for what runs beside the README's commands"
mkdir "$scratch/checkout"
git -C "$top" archive --format=tar HEAD | tar -x -C "$scratch/checkout"
cp -r "$scratch/checkout" "$scratch/beside"
bin=$developer/bin
is_oldest=$("$PYTHON" -c 'import sys; print("yes" if sys.version_info[:2] == (3, 11) else "")')
# What changed since CI_BASE, by default the commit before; in a clone without it, everything.
gpu_changed=yes
gpu_files=(backends ci/cupy_on_cpu ci/gpu.sh 'ci/gpu_*.py')
if git diff --quiet "${CI_BASE:-HEAD^}" HEAD -- "${gpu_files[@]}" 2>/dev/null; then gpu_changed=; fi

# What is done while the README's test command runs.
developer() {
    cd "$scratch/beside"
    step "beside: an environment with torch, jax, and cupy on the emulated card"
    environment "$developer" '.[dev,docs,torch,jax,cupy-cuda13]'
    sh ci/cupy_on_cpu/build.sh "$developer"

    step "beside: lint and format"
    "$bin/ruff" check .
    "$bin/ruff" format --check .

    step "beside: imports are declared and dependencies used: of the library, then of the rest"
    "$bin/deptry" pluggable_mlp backends
    "$bin/deptry" --ignore DEP002,DEP004 --exclude venv --exclude ci/cupy_on_cpu \
        tests benchmarks examples docs ci

    step "beside: sdist and wheel"
    "$bin/python" -m build --outdir "$scratch/dist" . >/dev/null
}

# While the whole suite runs.
checks() {
    cd "$scratch/beside"
    step "beside: import layers and types"
    "$bin/lint-imports"
    "$bin/mypy" -p pluggable_mlp

    step "beside: the documentation site"
    "$bin/python" -m sphinx -q -W docs "$scratch/site"

    step "beside: the sdist has all files, and its tests are collected"
    mkdir "$scratch/sdist"
    tar -xzf "$scratch"/dist/*.tar.gz -C "$scratch/sdist" --strip-components 1
    cd "$scratch/sdist"
    git -C "$top" ls-tree -r --name-only HEAD | xargs ls -d >/dev/null
    "$bin/python" -m pytest --collect-only -q -m "" >/dev/null
    cd "$scratch/beside"

    step "beside: on the second device"
    PLUGGABLE_MLP_REQUIRE_BACKENDS=cupy:1 "$bin/python" -m pytest -k "cupy:1" \
        --junitxml="$scratch/reports/second.xml" tests/backends \
        tests/training/test_steps_in_training.py tests/test_shortcuts.py tests/test_arrays.py
}

oldest() {
    cd "$scratch/beside"
    step "beside: an environment with the oldest versions, and one file for each of their kinds"
    environment "$scratch/oldest" -r ci/oldest.txt '.[test]'
    "$scratch/oldest/bin/python" -m pip install --quiet --no-deps -e .
    # Array libraries, their bits, files (msgspec and safetensors), scikit-learn's checks, tables
    # (narwhals and polars), the command line (Typer and Rich).
    "$scratch/oldest/bin/python" -m pytest -n auto --dist loadfile \
        --junitxml="$scratch/reports/oldest.xml" \
        tests/backends/test_conformance.py tests/test_recorded_runs.py tests/test_serialization.py \
        tests/estimators/test_drop_in.py tests/estimators/test_table_common.py \
        tests/estimators/test_tables.py tests/cli/test_cli.py
}

wheel() {
    step "beside: the wheel alone outside the checkout"
    environment "$scratch/wheel" "$(echo "$scratch"/dist/*.whl)[mpi]"
    "$scratch/wheel/bin/python" -m pip check
    mkdir "$scratch/elsewhere"
    cd "$scratch/elsewhere"
    "$scratch/wheel/bin/python" -c "
import numpy
from pluggable_mlp import load_dataset
numpy.save('images.npy', load_dataset('digits').test.inputs)"
    PATH="$scratch/wheel/bin:$PATH"
    pluggable-mlp --help >/dev/null
    pluggable-mlp backends
    pluggable-mlp train --quiet --epochs 3 --arithmetic reproducible --output run
    pluggable-mlp evaluate run
    pluggable-mlp predict run images.npy --output predictions.csv
    pluggable-mlp verify run/certificate.json
    pluggable-mlp compare --backends numpy,numpy
    mpiexec -n 2 pluggable-mlp train --distributed mpi \
        --quiet --epochs 3 --arithmetic reproducible --output run-of-two
    diff <(grep parameters_sha256 run/summary.json) <(grep parameters_sha256 run-of-two/summary.json)
}

beside developer
cd "$scratch/checkout"

# With OpenBLAS's kernels for AVX2, whose rounding depends on a row's place; the suite below has the
# processor's own.
step "the README's test command"
"$PYTHON" -m venv "$scratch/plain"
command=$("$PYTHON" ci/readme_command.py test)
echo "$command"
(
    PATH="$scratch/plain/bin:$PATH"
    export OPENBLAS_CORETYPE=Haswell PYTEST_ADDOPTS="--junitxml=$scratch/reports/plain.xml"
    eval "$command"
)
step "the README's training command"
command=$("$PYTHON" ci/readme_command.py train)
echo "$command"
(PATH="$scratch/plain/bin:$PATH"; eval "$command")

finished developer
if [ -n "$is_oldest" ]; then beside oldest; fi
beside wheel

step "the whole suite, every backend required"
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$cache/jax}
"$bin/python" -m pip install --quiet --no-deps -e .
beside checks
export PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,torch,jax:cpu,array_api_strict,cupy
# A file's tests stay together: they share what JAX compiled.  In the order of their names, since
# the files with the fewest tests have the longest.
"$bin/python" -m pytest -m "not nightly" -n auto --dist loadfile --no-loadscope-reorder \
    --durations 60 --junitxml="$scratch/reports/whole.xml"
if [ -n "$gpu_changed" ]; then
    step "what a machine with a GPU is asked, of CuPy on the emulated card"
    for part in bits tests benchmark others; do
        LIMIT=1800 OUT="$scratch/gpu" PYTHON="$bin/python" bash ci/gpu.sh "$part"
    done
fi

finished wheel
finished checks
if [ -n "$is_oldest" ]; then finished oldest; fi  # not all of them exist for other versions
step "each test ran somewhere"
"$bin/python" ci/reports.py "$scratch/reports"
if [ "${CI_NIGHTLY:-}" = 1 ]; then PYTHON="$bin/python" bash ci/nightly.sh; fi

step "all is well"
