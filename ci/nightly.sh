#!/usr/bin/env bash
# What takes long and seldom finds anything, in the environment of $PYTHON (default python3), which has
# what ci/test.sh installs for developers: the tests marked `nightly` (further networks, programs,
# settings and configurations, changed files), the default tests in a random order, and on other
# kernels of BLAS.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -m pytest -n auto -m nightly
RANDOM_ORDER=${RANDOM_ORDER:-$RANDOM}
export RANDOM_ORDER
echo "the default tests in the random order of RANDOM_ORDER=$RANDOM_ORDER"
"$python" -m pytest -n auto -p ci.random_order
PYTHON=$python bash ci/kernels.sh
