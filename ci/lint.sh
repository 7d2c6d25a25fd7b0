#!/usr/bin/env bash
# Lint, format, spelling, types, import layers, declared dependencies and the workflows, with the
# tools of the active environment (the dev extra).
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
codespell backends benchmarks ci docs examples pluggable_mlp tests .github ./*.md ./*.toml
lint-imports
mypy -p pluggable_mlp
# All types are complete, but for those that come from libraries without types: scikit-learn, SciPy,
# and JAX's devices.
types=$(PYTHONPATH=$PWD basedpyright --verifytypes pluggable_mlp --ignoreexternal || true)
grep "Type completeness score" <<<"$types"
if grep "error: " <<<"$types" |
    grep -vE '/estimators/.*( unknown|Ambiguous base)|Type of (metaclass|base class)|"device"'; then
    exit 1
fi
# Imports are declared and dependencies used: of the library, then of the rest.
deptry pluggable_mlp backends
deptry --ignore DEP002,DEP004 --exclude venv --exclude ci/cupy_on_cpu \
    tests benchmarks examples docs ci
validate-pyproject pyproject.toml
zizmor --offline .github
