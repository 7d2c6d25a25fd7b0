#!/usr/bin/env bash
# Everything that must hold before a change lands, from a clean copy of the committed tree in
# fresh virtual environments: the README's test command as it stands there, the suite with every
# CPU backend required, lint, format, types, import layers, and the built wheel and sdist.
# PYTHON names the interpreter (default python3); PLUGGABLE_MLP_DATA a folder with real data, without
# which the tests that need them are skipped by name.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python=${PYTHON:-python3}
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
PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,torch,jax:cpu,array_api_strict "$bin/pytest" -m ""

step "lint and format"
"$bin/ruff" check .
"$bin/ruff" format --check .

step "import layers and types, over a regular install: the editable one maps backends/ by a hook"
"$bin/python" -m pip install --quiet --no-deps --target "$scratch/regular" .
(cd "$scratch/regular" && PYTHONPATH=. "$bin/lint-imports" --config "$scratch/checkout/pyproject.toml")
(cd "$scratch/regular" && "$bin/mypy" --config-file "$scratch/checkout/pyproject.toml" -p pluggable_mlp)

step "sdist and wheel, and the wheel alone outside the checkout"
"$bin/python" -m build --outdir "$scratch/dist" . >/dev/null
"$python" -m venv "$scratch/wheel"
"$scratch/wheel/bin/python" -m pip install --quiet "$scratch"/dist/*.whl
cd "$scratch"
"$scratch/wheel/bin/pluggable-mlp" --help >/dev/null
"$scratch/wheel/bin/pluggable-mlp" backends
"$scratch/wheel/bin/pluggable-mlp" train --quiet --output run
"$scratch/wheel/bin/pluggable-mlp" evaluate run

step "all is well"
