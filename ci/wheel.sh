#!/usr/bin/env bash
# The sdist and the wheel of a commit (default: the last): what they say and hold, the sdist's
# tests, and the commands of the wheel alone.  With the tools of the active environment (the dev
# extra).
set -euo pipefail
commit=${1:-HEAD}
top=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
step() { printf '\n== %s\n' "$1"; }

step "sdist and wheel"
mkdir "$scratch/source" "$scratch/sdist" "$scratch/elsewhere"
git -C "$top" archive --format=tar "$commit" | tar -x -C "$scratch/source"
python -m build --outdir "$scratch/dist" "$scratch/source" >/dev/null
cd "$scratch/elsewhere"
twine check --strict "$scratch"/dist/*
check-wheel-contents "$scratch"/dist/*.whl

step "the sdist has all files, and its tests are collected"
tar -xzf "$scratch"/dist/*.tar.gz -C "$scratch/sdist" --strip-components 1
cd "$scratch/sdist"
git -C "$top" ls-tree -r --name-only "$commit" | xargs ls -d >/dev/null
python -m pytest --collect-only -q -m "" >/dev/null

step "the wheel alone outside the checkout"
python -m venv "$scratch/environment"
PATH="$scratch/environment/bin:$PATH"
python -m pip install --quiet --no-compile "$(echo "$scratch"/dist/*.whl)[mpi]"
python -m pip check
cd "$scratch/elsewhere"
python -c "
import numpy
from pluggable_mlp import load_dataset
numpy.save('images.npy', load_dataset('digits').test.inputs)"
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
