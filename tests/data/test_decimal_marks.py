"""Numbers with decimal commas and with points: of a file whose fields semicolons separate."""

import pytest

from pluggable_mlp.data import DataError, DataWarning, load_dataset
from pluggable_mlp.data.load import load_inputs

pytest.importorskip("polars")


@pytest.fixture
def read(tmp_path):
    """Read a table from its text, all of it for training, nothing scaled."""

    def read_text(text):
        (tmp_path / "table.csv").write_text(text)
        return load_dataset(tmp_path / "table.csv", test_share=0.0, scaling="none")

    return read_text


def semicolons(**columns):
    """A table of 20 rows, each column these values again and again."""
    rows = [[values[k % len(values)] for values in columns.values()] for k in range(20)]
    return "\n".join(";".join(row) for row in [[*columns], *rows])


POINTS_AND_COMMAS = {
    "grouped digits": (
        {"price": ["367", "7.311"], "w": ["0,25", "3,25"], "y": ["ja", "nein"]},
        "column 'price' holds '7.311' in row 2, and column 'w' '0,25' in row 1",
    ),
    "of one column": (
        {"a": ["1,5", "7", "1.25"], "y": ["ja", "nein"]},
        "column 'a' holds '1.25' in row 3, and '1,5' in row 1",
    ),
    "in the target": (
        {"a": ["1,5", "7"], "y": ["3", "1.25"]},
        "column 'y' holds '1.25' in row 2, and column 'a' '1,5' in row 1",
    ),
    "beside gaps": (
        {"a": [".", "-", "", " 1.250 "], "b": ["?", ",5"], "y": ["ja", "nein"]},
        "column 'a' holds '1.250' in row 4, and column 'b' ',5' in row 2",
    ),
}


@pytest.mark.parametrize("case", POINTS_AND_COMMAS)
def test_numbers_of_a_file_have_one_decimal_mark(read, case):
    columns, fault = POINTS_AND_COMMAS[case]
    with pytest.raises(DataError, match=r"table\.csv: ") as caught:
        read(semicolons(**columns))
    assert f"{fault}: decimal points and decimal commas" in str(caught.value)
    assert "write all numbers of the file with one decimal mark" in caught.value.args[2]


@pytest.mark.parametrize(
    ("columns", "first"),
    [
        ({"a": ["7.311", "367"], "b": ["0.25"], "y": ["ja", "nein"]}, [7.311, 0.25]),
        ({"a": ["7,311", "367"], "b": ["."], "c": ["1", "."], "y": ["ja", "nein"]}, [7.311, 1.0]),
        ({"a": ["1,5", "2"], "v": ["1.2.3", "1.2"], "y": ["ja", "nein"]}, [1.5, 0.0, 1.0]),
        ({"a": ["1.5", "2"], "v": ["1,2", "a, b"], "y": ["ja", "nein"]}, [1.5, 1.0, 0.0]),
        ({"a": ["1,5", "2"], "y": ["1.2.3", "1.2"]}, [1.5]),
    ],
)
def test_texts_and_gaps_have_no_decimal_mark(read, columns, first):
    assert read(semicolons(**columns)).train.inputs[0].tolist()[: len(first)] == first


def test_what_training_knew_as_texts_has_no_decimal_mark(read, tmp_path):
    """And what is not used has none, either, in a later file."""
    table = {"a": ["1,5", "2"], "v": ["1.2.3", "1.2"], "y": ["ja", "nein"]}
    preparation = read(semicolons(**table)).preparation
    path = tmp_path / "later.csv"
    path.write_text(semicolons(**table | {"v": ["1.2"], "new": ["1.25"]}))
    with pytest.warns(DataWarning, match="columns that are not used: 'y', 'new'"):
        assert load_inputs(path, preparation).column("a").tolist() == [1.5, 2.0] * 10
    path.write_text(semicolons(**table | {"a": ["1,5", "1.500"]}))
    with pytest.raises(DataError, match=r"later\.csv: column 'a' holds '1\.500' in row 2"):
        load_inputs(path, preparation, ("y",))
