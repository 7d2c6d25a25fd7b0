"""Make the report of ci/gpu.sh, PART.md and PART.json beside pytest's results in PART.xml.

    python ci/gpu_report.py PART.xml MACHINE

MACHINE is a file with a text about the machine.  Exit code 1: there are no results.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


def described(case: ElementTree.Element) -> dict[str, Any]:
    """Return what a test did: its verdict, with a message unless it passed, and its time."""
    ends = [each for each in case if each.tag in ("failure", "error", "skipped")]
    return {
        "name": f"{case.get('classname')}::{case.get('name')}",
        "verdict": ends[0].tag if ends else "passed",
        "message": ends[0].get("message", "").partition("\n")[0] if ends else "",
        "seconds": float(case.get("time", 0.0)),
        "recorded": {each.get("name"): each.get("value") for each in case.iter("property")},
    }


def main(results: Path, machine: str) -> int:
    """Write both files, print the first, and return the exit code."""
    found = ElementTree.parse(results).iter("testcase") if results.exists() else ()
    tests = [described(case) for case in found if case.get("name")]  # a crash leaves one without
    counts = Counter(test["verdict"] for test in tests)
    lines = [f"# {results.stem}", "", ", ".join(f"{n} {name}" for name, n in counts.items())]
    lines += ["", "## Failures", ""]
    lines += [
        f"- {t['name']}: {t['message']}" for t in tests if t["verdict"] in ("failure", "error")
    ]
    lines += ["", "## Measurements", ""]
    lines += [f"- {t['name']}: {name} {n}" for t in tests for name, n in t["recorded"].items()]
    lines += ["", "## Longest tests", ""]
    longest = sorted(tests, key=lambda test: -test["seconds"])[:10]
    lines += [f"- {t['seconds']:.1f} s {t['name']}" for t in longest]
    text = "\n".join([*lines, "", "## Machine", "", "```", machine, "```", ""])
    print(text)
    results.with_suffix(".md").write_text(text, encoding="utf-8")
    contents = {"counts": counts, "machine": machine, "tests": tests}
    results.with_suffix(".json").write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    return 0 if tests else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]).read_text(encoding="utf-8")))
