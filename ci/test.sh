#!/usr/bin/env bash
# Everything that must hold before a change lands, from a clean copy of the committed tree in
# fresh virtual environments: the README's commands as they stand there, the suite with every CPU
# backend required, lint, format, types, import layers, declared dependencies, the documentation
# site, the default tests of what the libraries do on their oldest versions, and the built wheel and
# sdist.  PYTHON names the interpreter (default python3); PLUGGABLE_MLP_DATA a folder with real
# data, without which the tests that need them are skipped by name.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scratch=$(mktemp -d)
finish() { # the log of what runs beside is unread if something else failed, or it did
    wait
    for name in developer oldest wheel dry_run; do
        if [ -e "$scratch/$name.log" ]; then cat "$scratch/$name.log"; fi
    done
    rm -rf "$scratch"
}
trap finish EXIT
python=${PYTHON:-python3}
unset PYTHONDONTWRITEBYTECODE  # hundreds of processes that the tests start would compile all anew
step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

environment() { # its name, and what to install, without bytecode: most modules are not imported
    "$python" -m venv "$scratch/$1"
    "$scratch/$1/bin/python" -m pip install --quiet --no-compile "${@:2}"
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
bin=$scratch/developer/bin
is_oldest=$("$python" -c 'import sys; print("yes" if sys.version_info[:2] == (3, 11) else "")')

# What is done while the README's test command runs.
developer() {
    cd "$scratch/beside"
    step "beside: an environment with torch, jax and cupy"
    environment developer '.[dev,docs,torch,jax,cupy-cuda13]'

    step "beside: lint and format"
    "$bin/ruff" check .
    "$bin/ruff" format --check .

    step "beside: imports are declared and dependencies used: of the library, then of the rest"
    "$bin/deptry" pluggable_mlp backends
    "$bin/deptry" --ignore DEP002,DEP004 --exclude venv tests benchmarks examples docs ci

    step "beside: import layers and types"
    "$bin/lint-imports"
    "$bin/mypy" -p pluggable_mlp

    step "beside: the documentation site"
    "$bin/python" -m sphinx -q -W docs "$scratch/site"

    step "beside: sdist and wheel"
    "$bin/python" -m build --outdir "$scratch/dist" . >/dev/null
}

# While the whole suite runs.
oldest() {
    cd "$scratch/beside"
    step "beside: an environment with the oldest versions"
    environment oldest -r ci/oldest.txt '.[test]'
}

# While the tests on the oldest versions run.
wheel() {
    step "beside: the wheel alone outside the checkout"
    environment wheel "$(echo "$scratch"/dist/*.whl)[mpi]"
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

dry_run() {
    cd "$scratch/beside"
    export LIMIT=1800  # of seconds: it shares the processor
    step "beside: a dry run of what a machine with a GPU is asked: the processor in its place"
    for part in bits tests benchmark others; do
        OUT="$scratch/gpu" PYTHON="$bin/python" bash ci/gpu.sh "$part" --dry
    done
}

beside developer
cd "$scratch/checkout"

step "the README's test command"
"$python" -m venv "$scratch/plain"
command=$("$python" ci/readme_command.py test)
echo "$command"
(PATH="$scratch/plain/bin:$PATH"; eval "$command")
step "the README's training command"
command=$("$python" ci/readme_command.py train)
echo "$command"
(PATH="$scratch/plain/bin:$PATH"; eval "$command")

finished developer
if [ -n "$is_oldest" ]; then beside oldest; fi

step "the whole suite, every CPU backend and every package required"
export PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,torch,jax:cpu,array_api_strict
export JAX_COMPILATION_CACHE_DIR=$scratch/compiled  # what the suite compiled the dry run has
"$bin/python" -m pip install --quiet --no-deps -e .
# A file's tests stay together: they share what JAX compiled.  In the order of their names, since
# the files with the fewest tests have the longest.
"$bin/python" -m pytest -p ci.every_package -m "" -n auto --dist loadfile \
    --no-loadscope-reorder --durations 60

beside wheel
beside dry_run
step "on the oldest versions, default tests of what the libraries do"
if [ -n "$is_oldest" ]; then
    finished oldest
    "$scratch/oldest/bin/python" -m pip install --quiet --no-deps -e .
    # What may differ is what a library does: the tests of the backends and of arrays, bits and steps
    # on them; of scikit-learn's estimators, SciPy's and table libraries' data; of files, which
    # msgspec and safetensors read; and of the command line, which Typer and Rich make.  JAX compiles
    # for most of the time: its backend, a recorded run and compiled steps.
    of_libraries=(
        tests/backends tests/data tests/runs tests/namespaces/test_*.py
        tests/test_{arrays,fields,recorded_runs,serialization,shortcuts,special}.py
        tests/network/test_{activations,layer_gradients,mlp,prediction_cache}.py
        tests/training/test_{steps,steps_in_training,updates}.py
        tests/estimators/test_{arrays,common,convert,drop_in,saving,scikit_learns_own}.py
        tests/estimators/test_{large_tables,table_common,table_refusals,tables,validation}.py
        tests/cli/test_{cli,progress,settings,tables,train}.py
    )
    of_jax="backends or recorded_runs or compiled_steps or prediction_cache"
    "$scratch/oldest/bin/pytest" -n auto --dist loadfile "${of_libraries[@]}" \
        -k "not simulated_cupy and (not jax or $of_jax)"
else
    echo "left to Python 3.11, the oldest: not all of them exist for others"
fi

finished wheel
finished dry_run

step "all is well"
