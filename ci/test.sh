#!/usr/bin/env bash
# Everything that must hold before a change lands, from a clean copy of the committed tree in
# fresh virtual environments: the README's commands as they stand there, the suite with every CPU
# backend required, lint, format, types, import layers, declared dependencies, the suite on the
# oldest versions, and the built wheel and sdist.  PYTHON names the interpreter (default python3);
# PLUGGABLE_MLP_DATA a folder with real data, without which the tests that need them are skipped by
# name.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python=${PYTHON:-python3}
unset PYTHONDONTWRITEBYTECODE  # hundreds of processes that the tests start would compile all anew
step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

step "a clean copy"
git -C "$top" archive --format=tar HEAD | (mkdir "$scratch/checkout" && tar -x -C "$scratch/checkout")
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

step "torch, jax and cupy"
bin=$scratch/plain/bin
"$bin/python" -m pip install --quiet -e '.[dev,torch,jax,cupy-cuda13]'

step "the whole suite, every CPU backend required"
export PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,torch,jax:cpu,array_api_strict
# A file's tests stay together: they share what JAX compiled.  The README's command and the oldest
# versions run with the threads of BLAS; here each process has one.
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 "$bin/pytest" -m "" -n auto --dist loadfile

step "a dry run of what a machine with a GPU is asked: the processor in its place"
for part in bits tests others benchmark; do
    OUT="$scratch/gpu" PYTHON="$bin/python" bash ci/gpu.sh --dry "$part"
done

step "lint and format"
"$bin/ruff" check .
"$bin/ruff" format --check .

step "imports are declared and dependencies used: of the library, then of what stands around it"
"$bin/deptry" pluggable_mlp backends
"$bin/deptry" --ignore DEP002,DEP004 --exclude venv tests benchmarks examples docs ci

step "import layers and types, over a regular install: the editable one maps backends/ by a hook"
"$bin/python" -m pip install --quiet --no-deps --target "$scratch/regular" .
(cd "$scratch/regular" && PYTHONPATH=. "$bin/lint-imports" --config "$scratch/checkout/pyproject.toml")
(cd "$scratch/regular" && "$bin/mypy" --config-file "$scratch/checkout/pyproject.toml" -p pluggable_mlp)

step "the suite on the oldest versions"
if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    "$python" -m venv "$scratch/oldest"
    "$scratch/oldest/bin/python" -m pip install --quiet -r ci/oldest.txt -e '.[test]' pytest-xdist
    "$scratch/oldest/bin/pytest" -n auto --dist loadfile
else
    echo "left to Python 3.11, the oldest: not all of them exist for others"
fi

step "sdist and wheel, and the wheel alone outside the checkout"
"$bin/python" -m build --outdir "$scratch/dist" . >/dev/null
"$python" -m venv "$scratch/wheel"
"$scratch/wheel/bin/python" -m pip install --quiet "$scratch"/dist/*.whl
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

step "all is well"
