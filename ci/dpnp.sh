#!/usr/bin/env bash
# Tests on dpnp, which computes on the processor by Intel's OpenCL runtime, of any maker's
# processor: the kit, recorded runs, transfers, `compare`, estimators, a table, a sweep, and
# reproducible arrays.
#
#     bash ci/dpnp.sh                                    these tests, in 90 seconds
#     bash ci/dpnp.sh python ci/mutants.py --area dpnp   another command in their environment
#
# The environment (2.9 GB) is kept in ~/.cache/pluggable-mlp/dpnp, and made anew when Python or the
# packages that pyproject.toml asks for are others.  PYTHON names the interpreter (default python3);
# REPORT (default build/dpnp.xml) gets pytest's results.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-~/.cache}/pluggable-mlp
folder=$cache/dpnp
python=${PYTHON:-python3}
mkdir -p "$cache"
exec 8>"$folder.lock"
flock 8  # until these tests end, too: one run at a time makes the environment or uses it
wanted=$("$python" -c '
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
print("#", sys.version.split()[0], sys.base_prefix)
lines = (*project["dependencies"], *extras["test"], *extras["dpnp"], *extras["dpnp-cpu"])
print(*(line for line in lines if not line.startswith("pluggable-mlp")), sep="\n")
')
if [ "$wanted" != "$(cat "$folder/made-of.txt" 2>/dev/null)" ]; then
    "$python" -m venv --clear "$folder"
    echo "$wanted" >"$folder/requirements.txt"
    "$folder/bin/python" -m pip install --quiet --no-compile -r "$folder/requirements.txt"
    mv "$folder/requirements.txt" "$folder/made-of.txt"
fi
export PATH="$folder/bin:$PATH" PYTHONPATH=$PWD PLUGGABLE_MLP_REQUIRE_BACKENDS=dpnp
export OCL_ICD_FILENAMES=$folder/lib/libintelocl.so SYCL_QUEUE_THREAD_POOL_SIZE=64
# One thread: the runtime suffers beside other processes.
export CL_CONFIG_CPU_TBB_NUM_WORKERS=1 DPCPP_CPU_NUM_CUS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
if [ $# -gt 0 ]; then exec "$@"; fi
python -m pytest -m "" --junitxml="${REPORT:-build/dpnp.xml}" --durations 10 \
    -k "dpnp and not (many or muon or lbfgs or recorded and float64 and not pixels)" \
    tests/backends tests/test_recorded_runs.py tests/consistency/test_compare.py \
    tests/estimators/test_arrays.py tests/estimators/test_table_members.py \
    tests/namespaces/test_reproducible_arrays.py \
    "tests/training/test_sweep.py::test_each_network_has_the_bits_that_it_has_alone[dpnp-lion]"
