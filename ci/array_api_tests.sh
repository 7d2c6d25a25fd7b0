#!/usr/bin/env bash
# The array API's own test suite (data-apis/array-api-tests, with its submodule) on the reproducible
# namespace over NumPy and PyTorch, in float32 and float64:
#     ci/array_api_tests.sh FOLDER ["numpy torch"] [pytest options]
# FOLDER is a checkout; it stays as it is.  What does not apply is left out by the table of
# ci/array_api_tests_plugin.py, which has the reason of each.  Needs ndindex and pytest-json-report.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd)
libraries=${2:-numpy torch}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r "$folder/." "$scratch"
cd "$scratch"
# The suite takes for granted that there are complex dtypes, in two places.
sed -i 's/for dt in complex_dtypes\], key=lambda x: x\[1\]$/&, default=(None,)/' array_api_tests/dtype_helpers.py
sed -i 's/dh.dtype_to_name\[dh.widest_complex_dtype\]/"complex128"/' array_api_tests/test_signatures.py
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
status=0
for library in $libraries; do
    echo "== reproducible($library)"
    version="import array_api_compat.$library as library; print(library.__array_api_version__)"
    ARRAY_API_TESTS_VERSION=$("${PYTHON:-python3}" -c "$version")
    ARRAY_API_TESTS_SKIP_DTYPES=complex64,complex128
    if [ "$library" = torch ]; then # it has them for storage alone
        ARRAY_API_TESTS_SKIP_DTYPES+=,uint16,uint32,uint64
    fi
    export ARRAY_API_TESTS_VERSION ARRAY_API_TESTS_SKIP_DTYPES
    setup="import array_api_compat.$library as library; from pluggable_mlp import reproducible"
    ARRAY_API_TESTS_MODULE="exec('$setup; xp = reproducible(library)')" \
        "${PYTHON:-python3}" -m pytest -q -rf -p array_api_tests_plugin -p no:cacheprovider \
        --max-examples="${EXAMPLES:-50}" --hypothesis-disable-deadline array_api_tests "${@:3}" ||
        status=1
done
exit $status
