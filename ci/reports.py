"""What the reports of all test runs say together.

`pytest --junitxml FOLDER/NAME.xml` writes a report.  `python ci/reports.py FOLDER` fails if a test,
or a file of tests/, was skipped in each run.
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

EXCEPTIONS = {
    r"^it is the tests' own": "a backend that only tests know",
    r"^no other process knows this backend": "a backend that only tests know",
    r"^its arrays are those of NumPy": "NumPy's arrays are no other library's",
    r"^JAX compiles each": "the other libraries have all; JAX has some of each kind",
    r"^array_api_strict has all on its other device": "the two devices differ in name alone",
    r"there is a GPU": "what is said without a card; the plain run says it",
    r"cannot use CUDA": "a card",
    r"device test because": "scikit-learn's own tests of Intel's and Apple's devices",
    r"^dpnp is not installed": "ci/dpnp.sh has it, and fails without",
    r"does not have a decision_function": "scikit-learn's check of another kind of classifier",
}
"""Reasons of skips that may stand in every run, and why nothing is missed."""


def complaints(reports: list[Path]) -> list[str]:
    """Return a line for each test or file that never ran."""
    # A file that is skipped as a whole is in no report of pytest-xdist.
    files = [".".join(path.with_suffix("").parts) for path in Path("tests").rglob("test_*.py")]
    skipped, executed = dict.fromkeys(files, "all of the file"), set()
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            module, test = case.get("classname", ""), case.get("name", "")
            skip = case.find("skipped[@type='pytest.skip']")
            if skip is not None:
                skipped[f"{module}.{test}"] = skip.get("message", "")
                continue
            executed |= {module, f"{module}.{test}"}
    return [
        f"{name} ran nowhere: {message}"
        for name, message in skipped.items()
        if name not in executed and not any(re.search(key, message) for key in EXCEPTIONS)
    ]


if __name__ == "__main__":
    found = complaints(sorted(Path(sys.argv[1]).glob("*.xml")))
    print(*found, sep="\n")
    sys.exit(bool(found))
