"""`ci/fuzz.py`: what the program makes of changed files, and that it would see what is wrong.

By hand the script runs 10,000 cases.
"""

import pytest

pytest.importorskip("resource", reason="memory is limited by POSIX's setrlimit")
pytest.importorskip("polars", reason="some of the files are tables with texts")

from ci import fuzz


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("only", ["run/", "table/", "new.", "data.", "images", "arrays"])
def test_changed_files_are_refused_or_change_nothing(tmp_path, only):
    world = fuzz.make_world(tmp_path / "world")
    (tmp_path / "case").mkdir()
    cases = fuzz.Cases(world, 0, only)
    assert list(fuzz.findings(tmp_path / "case", cases, range(200))) == []


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        ((3, "", "Error: unexpected KeyError"), "exit code 3"),
        ((1, "", ""), "exit code 1"),
        ((2, "", ""), "without a word"),
        ((2, "", "Traceback (most recent call last):"), "Traceback"),
        ((0, "class 2", ""), "accepted, with an effect"),
        ((0, "class 1", "Warning: left aside"), ""),
        ((2, "", "Error: it is damaged"), ""),
        ((3, "", "Error: out of memory: 5 GB"), ""),
    ],
)
def test_what_is_a_fault(outcome, fault):
    found = fuzz.fault_in(fuzz.Outcome(*outcome), "class 1", is_ours=True, verifies=False)
    assert fault in found
    assert bool(fault) == bool(found)
