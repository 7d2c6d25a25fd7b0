"""Rows of a group stay together: `validation_by` of tables, `groups` of estimators."""

import json

import numpy as np
import pytest

from pluggable_mlp import DataError, TableClassifier, load_dataset
from tests.cli.conftest import ended

pl = pytest.importorskip("polars")
pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")

SIZES = [1, 2, 3, 5, 8, 4] * 8
GROUPS = np.repeat(np.arange(len(SIZES)), SIZES)
RNG = np.random.default_rng(0)
GROUPS = GROUPS[RNG.permutation(len(GROUPS))]
ROWS = len(GROUPS)
X = pl.DataFrame({"row": np.arange(ROWS) * 1.0, "x": RNG.normal(size=ROWS)})
Y = np.asarray(["no", "yes"])[(X["x"].to_numpy() > 0).astype(int)]


def frame(groups=GROUPS):
    return X.clone().insert_column(1, pl.Series("who", groups)).with_columns(pl.Series("y", Y))


def groups_of(split):
    """The groups of a part, found by the numbers of its rows, which are not scaled."""
    return {*GROUPS[split.inputs[:, 0].astype(int)].tolist()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", ["who", "2"])
def test_no_group_is_in_two_parts_and_shares_are_close(seed, by):
    data = load_dataset(
        frame(), seed, validation_by=by, validation=0.25, test_share=0.2, scaling="none"
    )
    parts = [groups_of(data.splits[part]) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(SIZES)
    assert data.features == 2  # the group is none
    tested, validated = (len(data.splits[part].targets) for part in ("test", "validation"))
    # A choice of groups of at most 8 rows misses a share by at most half of one.
    assert abs(tested - 0.2 * ROWS) <= 4
    assert abs(validated - 0.25 * (ROWS - tested)) <= 4


def test_other_seeds_draw_other_groups_and_names_do_not_count():
    def drawn(seed, groups=GROUPS):
        data = load_dataset(frame(groups), seed, validation_by="who", scaling="none")
        return groups_of(data.test)

    assert len({tuple(sorted(drawn(seed))) for seed in range(4)}) == 4
    assert drawn(0) == drawn(0, [str(100 - group) if group else "A7" for group in GROUPS])


def test_without_groups_rows_of_one_are_in_several_parts():
    data = load_dataset(frame(), target="y", validation=0.25, scaling="none")
    assert data.features == 3
    assert groups_of(data.splits["validation"]) & groups_of(data.train)


def test_a_run_and_an_estimator_draw_the_same_groups(tmp_path, capsys):
    """So that they have the same parameters; without groups these are others."""
    frame().write_csv(tmp_path / "table.csv")
    train = ["train", "--data", tmp_path / "table.csv", "--validation-by", "who", "--epochs", 3]
    train += ["--hidden", 8, "--test-share", 0, "--arithmetic", "reproducible", "--seed", 0]
    assert ended(*train, "--output", tmp_path / "run") == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings["validation_by"] == "who"
    parameters = {"max_iter": 3, "hidden": (8,), "arithmetic": "reproducible", "random_state": 0}
    model = TableClassifier(**parameters)
    expected = summary["parameters_sha256"]
    assert model.fit(X, Y, groups=GROUPS).parameters_sha256_ == expected
    assert model.fit(X, Y).parameters_sha256_ != expected
    assert ended("verify", tmp_path / "run") == 0


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"validation_by": "y"}, "validation_by is the target 'y'; name another column"),
        ({"validation_by": "wo"}, "has no column 'wo'; .*; did you mean 'who'"),
    ],
)
def test_other_columns_are_refused(options, fault):
    with pytest.raises(DataError, match=fault):
        load_dataset(frame(), **options)


def test_a_row_without_a_group_and_data_without_columns_are_refused():
    with pytest.raises(DataError, match=r"row 2 lacks the group 'who'; leave out rows without a"):
        load_dataset(frame([1, None, *GROUPS[2:].tolist()]), validation_by="who")
    with pytest.raises(DataError, match="validation_by is 'who'; --validation-by is for .csv"):
        load_dataset("digits", validation_by="who")
    with pytest.raises(DataError, match="give more groups, or another --test-share"):
        load_dataset(frame([7] * ROWS), validation_by="who")


def test_groups_of_estimators_are_checked():
    with pytest.raises(ValueError, match="groups contains NaN"):
        TableClassifier(max_iter=1).fit(X, Y, groups=np.where(GROUPS == 3, np.nan, GROUPS))
