"""`ci/fuzz.py`: what the program makes of changed files, and that it would see what is wrong.

About 1,000 cases here, less than a minute of one processor; by hand the script runs 10,000.
"""

import os
import time
from random import Random

import pytest

pytest.importorskip("resource", reason="memory is limited by POSIX's setrlimit")
pytest.importorskip("sklearn", reason="one of the files is a saved estimator")
pytest.importorskip("polars", reason="some of the files are tables with texts")

from ci import fuzz
from ci.fuzz_changes import KINDS, change
from ci.fuzz_world import TARGETS, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("fuzz") / "world")


def family(name, cases=100):
    return pytest.param(name, cases, marks=[pytest.mark.nightly, pytest.mark.slow], id=name)


FAMILIES = [
    family("config"),
    family("summary"),
    family("metrics"),
    family("certificate"),
    family("model"),
    family("checkpoint"),
    family("estimator"),
    family("report", 20),
    family("data to predict"),
    family("data to train on"),
    family("options"),
]


@pytest.mark.parametrize(("name", "cases"), FAMILIES)
def test_changed_files_are_refused_or_change_nothing(tmp_path, world, name, cases):
    found = list(fuzz.findings(tmp_path, fuzz.Cases(world, 0, name), cases))
    assert found == []


class Faulty:
    """Cases of which one ends its process, one hangs, and one fails."""

    def draw(self, number):
        del number
        return TARGETS[0], "json", Random(0)

    def run(self, number):
        if number == 1:
            os._exit(7)
        if number == 2:
            time.sleep(600)
        return fuzz.Finding(number, "config", "", "exit code 3") if number == 3 else None


@pytest.mark.slow
def test_processes_that_end_or_hang_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 5)
    found = [(each.number, each.fault) for each in fuzz.findings(tmp_path, Faulty(), 5)]
    assert found == [(1, "it ended the process with 7"), (2, "it hangs"), (3, "exit code 3")]


FAULTS = [
    ((3, "", "Error: unexpected KeyError"), "exit code 3"),
    ((1, "", ""), "exit code 1"),
    ((2, "", ""), "without a word"),
    ((2, "", "Traceback (most recent call last):"), "Traceback"),
    ((0, "class 2", ""), "accepted, with an effect: 'class 1' became 'class 2'"),
    ((0, "class 1", "Warning: left aside"), ""),
    ((2, "", "Error: it is damaged"), ""),
    ((3, "", "Error: out of memory: 5 GB"), ""),
]


@pytest.mark.parametrize(("outcome", "fault"), FAULTS)
def test_what_is_a_fault(outcome, fault):
    found = fuzz.fault_in(
        fuzz.Outcome(*outcome), "class 1", TARGETS[0], verifies=False, forged=False
    )
    assert fault in found
    assert bool(fault) == bool(found)


def test_other_files_may_be_accepted_and_forged_certificates_fail():
    other = next(target for target in TARGETS if not target.is_ours)
    assert (
        fuzz.fault_in(
            fuzz.Outcome(0, "class 2", ""), "class 1", other, verifies=False, forged=False
        )
        == ""
    )
    assert fuzz.fault_in(fuzz.Outcome(1, "", ""), "", TARGETS[0], verifies=True, forged=True) == ""


def test_every_target_is_in_a_family():
    names = [param.values[0] for param in FAMILIES]
    assert all(any(name in target.name for name in names) for target in TARGETS)


@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_drawn_by_the_seed(kind):
    content = b'{"a": [1.5, {"b": "x"}], "sha256": "0"}'
    drawn = [change(kind, content, Random(seed)) for seed in range(50)]
    assert drawn == [change(kind, content, Random(seed)) for seed in range(50)]
    assert len({*drawn}) > 5
