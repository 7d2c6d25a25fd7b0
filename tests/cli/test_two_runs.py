"""Two commands on the folder of one run, that stop and go on at any file operation.

One gets the folder and the other is refused, or they come one after the other: nothing is lost.
"""

import os
import shutil

import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tests.cli.saved_runs import FILES, content, names, told  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")

NEW = ("--epochs", 2, "--output")
RESUME = ("--epochs", 4, "--resume")
SHORT = ("--epochs", 3, "--resume")
PAIRS = {
    "new": (NEW, NEW),
    "overwrite": (("--overwrite", *NEW), ("--overwrite", *NEW)),
    "resume": (RESUME, SHORT),
    "resume and overwrite": (RESUME, ("--overwrite", *NEW)),
    "new and overwrite": (NEW, ("--overwrite", *NEW)),
}
WITHOUT = ("new", "new and overwrite")
"""Where nothing is there before."""


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """Runs that nothing disturbed, by their seed and their epochs."""
    folder = tmp_path_factory.mktemp("whole")
    for seed in range(3):
        for epochs in (2, 3, 4):
            options = ("--epochs", epochs, "--seed", seed, "--output", folder / f"{seed}-{epochs}")
            result = server.run(*server.train, *options)
            assert result.code == 0, result
    return folder


def assert_nothing_is_lost(server, whole, folder, pair, turns):
    """Run a pair in turns; see that what each says it did is there."""
    if pair not in WITHOUT:
        shutil.copytree(whole / "0-2", folder)
    else:
        folder.parent.mkdir(exist_ok=True)
    commands = [
        ("train", "--quiet", *options, folder)
        if "--resume" in options
        else (*server.train, "--seed", seed, *options, folder)
        for seed, options in enumerate(PAIRS[pair], 1)
    ]
    results = server.run_two(*commands, turns)
    codes = [result.code for result in results]
    aside = folder.with_name("run.old")  # where a run is if another process took its place at once
    if aside.exists():
        assert told(aside) in map(told, whole.iterdir())
    for result in results:
        reasons = (
            "is not empty", "another process trains", "the run has", "run.old",
            "config.json is missing",
        )  # fmt: skip
        refused = any(reason in result.err for reason in reasons)
        assert result.code == 0 or (result.code == 2 and refused), results
    assert names(folder.parent) <= {folder.name, aside.name}
    if 0 not in codes:  # each was in the other's way: the old run is whole
        assert told(aside if aside.exists() else folder) == told(whole / "0-2")
        return results
    assert names(folder) == FILES
    seed = content(folder, "config.json")["settings"]["seed"]
    epochs = content(folder, "summary.json")["epochs"]
    assert told(folder) == told(whole / f"{seed}-{epochs}")
    if pair == "resume":  # a longer run is never replaced by a shorter one
        assert epochs == (4 if codes[0] == 0 else 3)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("first", [0, 1])
def test_one_pauses_while_the_other_runs(server, whole, tmp_path_factory, pair, first):
    """From one of its operations on, until the other has ended.

    At every fifth of them, another for each pair: the pairs have operations in common.
    """
    for at in range([*PAIRS].index(pair), 400, 5):
        turns = [first] * at + [1 - first] * 400
        results = assert_nothing_is_lost(
            server, whole, tmp_path_factory.mktemp("two") / "run", pair, turns
        )
        if results[first].operations <= at:  # it had ended
            break


turns = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 20)), max_size=12).map(
    lambda chunks: [turn for turn, count in chunks for _ in range(count)]
)


kept = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=5, derandomize=True, **kept)
@given(pair=st.sampled_from(list(PAIRS)), turns=turns)
def test_they_take_turns(server, whole, tmp_path_factory, pair, turns):
    assert_nothing_is_lost(server, whole, tmp_path_factory.mktemp("two") / "run", pair, turns)
