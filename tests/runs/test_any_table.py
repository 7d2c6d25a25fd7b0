"""The predictions of a row: the same whatever rows, columns and format its table has.

Trained in reproducible arithmetic, whose bits do not depend on the other examples of a batch.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluggable_mlp import get_backend, load_run
from pluggable_mlp.options import Options
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run

polars = pytest.importorskip("polars")

from tests.data.frames import FORMS, WITHOUT_NAMES, text  # noqa: E402 (polars)

pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")

COUNT = 84
GENERATOR = np.random.default_rng(3)


def some(values, missing):
    """Values, of which every so many-th is missing."""
    return [None if k % missing == missing - 1 else value for k, value in enumerate(values)]


def pixels():
    """Images of 8 x 8, the first half of them black and white."""
    images = GENERATOR.integers(0, 256, (COUNT, 64))
    images[: COUNT // 2] = images[: COUNT // 2] > 127
    return {f"p{k}": column.tolist() for k, column in enumerate(images.T)}


TABLES = {
    "mixed": {
        "number": some(GENERATOR.normal(size=COUNT).round(3).tolist(), 9),
        "color": some([("red", "green", "no", "1")[k] for k in GENERATOR.integers(0, 4, COUNT)], 7),
        "flag": [bool(flag) for flag in GENERATOR.integers(0, 2, COUNT)],
        "count": GENERATOR.integers(0, 50, COUNT).tolist(),
        "binary": GENERATOR.integers(0, 2, COUNT).tolist(),
    },
    "plain": {
        "a": GENERATOR.normal(size=COUNT).tolist(),
        "b": list(map(float, range(COUNT))),
        "c": GENERATOR.integers(0, 2, COUNT).tolist(),
    },
    "pixels": pixels(),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each of TABLES, and what it predicts of all rows."""
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for name, columns in TABLES.items():
        data = folder / f"{name}.csv"
        table = polars.DataFrame({**columns, "y": [k % 2 for k in range(COUNT)]})
        data.write_bytes(text(table))
        options = {"hidden": (3,), "epochs": 2, "arithmetic": "reproducible", "recipe": "none"}
        run = Run.of(Options(data=str(data), **options), get_backend("numpy"))
        with RunFolder(folder / name, run):
            list(run.train())
        saved_run = load_run(folder / name)
        found[name] = saved_run, saved_run.predict_proba(polars.DataFrame(columns))
    return folder, found


ROWS = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=5, unique=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["mixed", "pixels"])
@given(rows=ROWS, data=st.data())
@settings(deadline=None, max_examples=3)
def test_predictions_depend_on_their_row_alone(runs, name, form, rows, data):
    folder, found = runs
    run, expected = found[name]
    columns = data.draw(st.permutations(list(TABLES[name])))
    part = polars.DataFrame(TABLES[name])[rows].select(columns)
    np.testing.assert_array_equal(run.predict_proba(FORMS[form](part, folder)), expected[rows])


@pytest.mark.parametrize("form", WITHOUT_NAMES)
@pytest.mark.parametrize("name", ["plain", "pixels"])
@given(rows=ROWS)
@settings(deadline=None, max_examples=3)
def test_columns_without_names_are_those_of_training_in_their_order(runs, name, form, rows):
    folder, found = runs
    run, expected = found[name]
    part = polars.DataFrame(TABLES[name])[rows]
    table = WITHOUT_NAMES[form](part, folder)
    np.testing.assert_array_equal(run.predict_proba(table), expected[rows])
