#!/usr/bin/env bash
# Run the default tests with the kernels that OpenBLAS has for each kind of processor, as far as this
# one can; arguments are pytest's.  PYTHON (default python3) has what the extra "test" lists.
set -uo pipefail
cd "$(dirname "$0")/.."
kernels=(Haswell Zen Nehalem Sandybridge)
if grep -qw avx512f /proc/cpuinfo; then kernels+=(SkylakeX); fi
failed=()
for kernel in "${kernels[@]}"; do
    echo "OPENBLAS_CORETYPE=$kernel"
    OPENBLAS_CORETYPE=$kernel "${PYTHON:-python3}" -m pytest -n auto "$@" || failed+=("$kernel")
done
echo "failed: ${failed[*]:-none}"
[ ${#failed[@]} = 0 ]
