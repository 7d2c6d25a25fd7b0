#!/usr/bin/env bash
# Which faults in changed files do the tests not see?  mutmut changes operators, numbers and
# arguments in their functions, one at a time, and runs the tests that mirror the files, on NumPy.
#
#     bash ci/mutmut_changed.sh           the library's files that changed since main
#     bash ci/mutmut_changed.sh COMMIT    since COMMIT
#
# What is mutated is a copy of the tracked files as they are now.  Prints each change that no test
# sees, as a diff (many change nothing that could be seen), and how many are in functions that no
# test calls in its own process.  Constants of modules, fields of classes, decorated functions and
# error messages are left as they are.
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1:-main}

shopt -s nullglob
files=() tests=()
changed=$(git diff --name-only --diff-filter=d "$base" -- 'pluggable_mlp/*.py' 'backends/*.py')
for file in $changed; do
    path=${file#pluggable_mlp/}
    files+=("pluggable_mlp/$path") # those of backends/ by the name under which they are imported
    folder=tests/$(dirname "$path") name=$(basename "$path" .py)
    mirrors=("$folder/test_$name"*.py "$folder/$name"/test_*.py)
    if [ ${#mirrors[@]} = 0 ]; then
        echo "no tests mirror $file: all of $folder are run"
        mirrors=("$folder"/test_*.py)
    fi
    tests+=("${mirrors[@]}")
done
if [ ${#files[@]} = 0 ]; then
    echo "no file of the library changed since $base"
    exit
fi
printf '%s\n' "mutated:" "${files[@]}" "tests:" "${tests[@]}"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$(git stash create)
git archive --format=tar "${tree:-HEAD}" | tar -x -C "$scratch"
cd "$scratch"
list() { printf '"%s", ' "$@"; }
sed -i "/^\[tool\.mutmut\]/a \\
only_mutate = [$(list "${files[@]}")]\\
pytest_add_cli_args_test_selection = [$(list "${tests[@]}")]" pyproject.toml

export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
export PYTHONPATH=$scratch/mutants # for processes that the tests start
mkdir mutants # there when Python starts, which remembers that a folder on its path is missing
mutmut run
mutmut results | sed '/: survived$/d; s/__mutmut_[0-9]*:/:/' | sort | uniq -c # by function
for mutant in $(mutmut results | sed -n 's/^ *\(.*\): survived$/\1/p'); do
    mutmut show "$mutant"
done
