#!/usr/bin/env bash
# Everything that must hold before a change lands, from a clean copy of the committed tree in
# fresh virtual environments: the README's commands as they stand there, the suite with every CPU
# backend required, lint, format, types, import layers, declared dependencies, the documentation
# site, the default tests on the oldest versions (of JAX a selection), and the built wheel and
# sdist.  PYTHON names the interpreter (default python3); PLUGGABLE_MLP_DATA a folder with real
# data, without which the tests that need them are skipped by name.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scratch=$(mktemp -d)
finish() { # the log of what ran beside is unread if a command of the README failed, or it did
    wait
    if [ -e "$scratch/beside.log" ]; then cat "$scratch/beside.log"; fi
    rm -rf "$scratch"
}
trap finish EXIT
python=${PYTHON:-python3}
unset PYTHONDONTWRITEBYTECODE  # hundreds of processes that the tests start would compile all anew
step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

environment() { # its name, and what to install
    "$python" -m venv "$scratch/$1"
    "$scratch/$1/bin/python" -m pip install --quiet "${@:2}"
}

step "a clean copy, and a second one for what runs beside the README's commands"
mkdir "$scratch/checkout"
git -C "$top" archive --format=tar HEAD | tar -x -C "$scratch/checkout"
cp -r "$scratch/checkout" "$scratch/beside"
bin=$scratch/developer/bin
is_oldest=$("$python" -c 'import sys; print("yes" if sys.version_info[:2] == (3, 11) else "")')

# What can be done while the README's test command runs.
beside() {
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

    step "beside: an environment with the oldest versions"
    if [ -n "$is_oldest" ]; then
        environment oldest -r ci/oldest.txt '.[test]'
    fi
}
(beside) >"$scratch/beside.log" 2>&1 &
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

wait $!
cat "$scratch/beside.log"
rm "$scratch/beside.log"

step "the whole suite, every CPU backend and every package required"
export PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,torch,jax:cpu,array_api_strict
"$bin/python" -m pip install --quiet --no-deps -e .
# A file's tests stay together: they share what JAX compiled.
"$bin/python" -m pytest -p ci.every_package -m "" -n auto --dist loadfile --durations 60

step "a dry run of what a machine with a GPU is asked: the processor in its place"
for part in bits tests benchmark others; do
    OUT="$scratch/gpu" PYTHON="$bin/python" bash ci/gpu.sh "$part" --dry
done

step "the default tests on the oldest versions, of JAX a selection"
if [ -n "$is_oldest" ]; then
    "$scratch/oldest/bin/python" -m pip install --quiet --no-deps -e .
    # JAX compiles for most of the time: its functions, the compiled steps and loop, some formulas.
    of_jax="backends or special or recorded_runs or test_steps"
    of_jax+=" or test_prediction_cache or test_mlp or test_activations"
    of_jax+=" or test_regression"
    "$scratch/oldest/bin/pytest" -n auto --dist loadfile -k "not jax or $of_jax"
else
    echo "left to Python 3.11, the oldest: not all of them exist for others"
fi

step "the wheel alone outside the checkout"
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

step "all is well"
