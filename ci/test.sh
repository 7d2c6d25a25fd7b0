#!/usr/bin/env bash
# Everything that must hold before a change lands, from a clean copy of the committed tree in
# fresh virtual environments: the README's commands as they stand there; the suite once, with every
# backend required, CuPy on the emulated card of ci/cupy_on_cpu among them; some tests on the oldest
# versions of the libraries; no test skipped in each of these runs (ci/reports.py); ci/lint.sh, the
# documentation site, ci/wheel.sh and ci/dpnp.sh, which are left out after the argument "tests".
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
commit=$(git rev-parse HEAD)  # the branch may move meanwhile
only_tests=$([ "${1:-}" = tests ] && echo yes || true)
scratch=$(mktemp -d)
developer=$scratch/developer
cache=${XDG_CACHE_HOME:-~/.cache}/pluggable-mlp
finish() { # show the logs that `finished` did not show, since a step failed
    wait
    for name in developer checks oldest wheel dpnp; do
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
git -C "$top" archive --format=tar "$commit" | tar -x -C "$scratch/checkout"
cp -r "$scratch/checkout" "$scratch/beside"
bin=$developer/bin
is_oldest=$("$PYTHON" -c 'import sys; print("yes" if sys.version_info[:2] == (3, 11) else "")')
# What changed since CI_BASE, by default the commit before; in a clone without it, everything.
gpu_changed=yes
gpu_files=(backends ci/cupy_on_cpu ci/gpu.sh 'ci/gpu_*.py')
if git diff --quiet "${CI_BASE:-$commit^}" "$commit" -- "${gpu_files[@]}" 2>/dev/null; then gpu_changed=; fi

# What is done while the README's test command runs.
developer() {
    cd "$scratch/beside"
    step "beside: an environment with torch, jax, and cupy on the emulated card"
    environment "$developer" '.[dev,docs,torch,jax,cupy-cuda13]'
    sh ci/cupy_on_cpu/build.sh "$developer"
}

# While the whole suite runs.
checks() {
    cd "$scratch/beside"
    if [ -z "$only_tests" ]; then
        step "beside: lint and types"
        PATH="$bin:$PATH" bash ci/lint.sh

        step "beside: the documentation site"
        "$bin/python" -m sphinx -q -W docs "$scratch/site"
    fi

    step "beside: on the second device"
    PLUGGABLE_MLP_REQUIRE_BACKENDS=cupy:1 "$bin/python" -m pytest -k "cupy:1" \
        --junitxml="$scratch/reports/second.xml" tests/backends \
        tests/training/test_steps_in_training.py tests/arrays/test_shortcuts.py tests/arrays/test_arrays.py
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
        tests/backends/test_conformance.py tests/test_recorded_runs.py tests/files/test_serialization.py \
        tests/estimators/test_drop_in.py tests/estimators/test_table_common.py \
        tests/estimators/test_tables.py tests/cli/test_cli.py
}

wheel() {
    step "beside: the sdist and the wheel"
    PATH="$bin:$PATH" bash "$top/ci/wheel.sh" "$commit"
}

dpnp() {
    cd "$scratch/beside"
    step "beside: dpnp, on the processor by Intel's own runtime"
    REPORT=$scratch/reports/dpnp.xml bash ci/dpnp.sh
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

step "the whole suite, every backend required"
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$cache/jax}
"$bin/python" -m pip install --quiet --no-deps -e .
beside checks
if [ -z "$only_tests" ]; then beside wheel; beside dpnp; fi
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

if [ -z "$only_tests" ]; then finished wheel; finished dpnp; fi
finished checks
if [ -n "$is_oldest" ]; then finished oldest; fi  # not all of them exist for other versions
step "each test ran somewhere"
"$bin/python" ci/reports.py "$scratch/reports"
if [ "${CI_NIGHTLY:-}" = 1 ]; then PYTHON="$bin/python" bash ci/nightly.sh; fi

step "all is well"
