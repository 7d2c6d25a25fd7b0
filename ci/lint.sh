#!/usr/bin/env bash
# Lint, format, types, import layers, declared dependencies and the workflows, with the tools of the
# active environment (the dev extra).
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
lint-imports
mypy -p pluggable_mlp
# Imports are declared and dependencies used: of the library, then of the rest.
deptry pluggable_mlp backends
deptry --ignore DEP002,DEP004 --exclude venv --exclude ci/cupy_on_cpu \
    tests benchmarks examples docs ci
validate-pyproject pyproject.toml
zizmor --offline .github
