"""Tables that are read later, for what was trained: their rows, columns, labels and faults."""

import re

import numpy as np
import pytest

from pluggable_mlp.data import DataError, DataWarning, load_dataset
from pluggable_mlp.data.load import load_inputs

polars = pytest.importorskip("polars")

from tests.data.frames import frame_of  # noqa: E402 (polars)

NAMED = "a,b,y\n" + "".join(f"{k % 9},{k % 7}.5,{'uv'[k % 2]}\n" for k in range(40))
BARE = NAMED.partition("\n")[2]
ALONE = "a,y\n" + "".join(f"{k}.5,{'uv'[k % 2]}\n" for k in range(40))
GAPS = ALONE.replace("\n0.5,", "\n,")
TEXTS = "s,y\n" + "".join(f"{'pq'[k % 2]},{'uv'[k % 2]}\n" for k in range(40))


@pytest.fixture
def later(read, tmp_path):
    """Read the text of a table as one that is predicted, or measured, after one of training."""

    def apply(training, text, measured=False):
        data = read(training)
        path = tmp_path / "later.csv"
        path.write_bytes(text.encode("latin-1"))
        if measured:
            return load_dataset(path, target="y", preparation=data.preparation, test_share=0.0)
        rows = load_inputs(path, data.preparation)
        return data.preparation.inputs(str(path), rows, "float64")[:]

    return apply


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
@pytest.mark.parametrize(
    ("training", "lines", "rows"),
    [
        (NAMED, ["a,b", "1,2", ",", "", "3,4", "  ", ","], 4),  # rows of empty fields are rows
        (GAPS, ["a", "1", '""', "", "2"], 3),
        (ALONE, ["", "a", "1", "", "2", "  ", "3", "", ""], 3),
        (BARE, ["0,1", "4,2"], 2),  # no header that counts
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_no_rows(later, training, lines, rows, end):
    assert len(later(training, end.join(lines))) == rows


@pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")
@pytest.mark.parametrize(
    ("training", "text", "measured", "words"),
    [
        (NAMED, "a,b\n1,2\n\n3\n", False, "line 4 has 1 field, the first has 2;"),
        (NAMED, "a,c\n1,2\n", False, "has no column 'b'; it has a, c; give the columns a, b"),
        (NAMED, "a,b,Y\n1,2,u\n", True, "has no column 'y'; it has a, b, Y"),
        (NAMED, "1,2,u\n3,4,v\n", True, "has no column 'y'; it has 1, 2, 3"),
        (NAMED, "1,2,3\n4,5,6\n", False, "has no column 'a', 'b'; it has 1, 2, 3"),
        (BARE, "a,b\n1,2\n", False, "leave the line out if it names columns"),
        (NAMED, "a,b\n1,x\n", False, "holds 'x' in row 1, not a number"),
        (TEXTS, "s,y\nK\xf6ln,u\n", True, "line 2 holds the byte 0xf6"),
        (NAMED, "a,b,y\n1,2,w\n", True, "a new label is w, which training never saw (it saw u, v)"),
    ],
)
def test_what_is_unlike_training_is_named(later, training, text, measured, words):
    with pytest.raises(DataError, match=rf"later\.csv: .*{re.escape(words)}"):
        later(training, text, measured)


def test_other_columns_are_told(later):
    with pytest.warns(DataWarning, match="later.csv: columns that are not used: 'note'"):
        found = later(NAMED, "b,note,a\n2,x,1\n")
    assert found.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "labels",
    [
        ["01", "02", "10"],
        ["1", "01"],
        ["+1", "-1"],
        ["None", "0", "-"],
        ["True", "False"],
        ["7", "3"],
    ],
)
def test_labels_come_back_as_they_were_written(read, later, labels):
    """In a file that holds one of them alone, too."""
    training = "a,y\n" + "".join(f"{k}.5,{labels[k % len(labels)]}\n" for k in range(42))
    data = read(training)
    found = data.labels_of(data.train.targets).tolist()
    assert [str(label) for label in found] == [labels[k % len(labels)] for k in range(42)]
    part = later(training, f"a,y\n0.5,{labels[0]}\n", measured=True)
    assert [str(label) for label in part.labels_of(part.train.targets).tolist()] == labels[:1]


def test_booleans_may_be_spelled_in_several_ways(later):
    training = "a,y\n" + "".join(f"{k}.5,{k % 3 > 0}\n" for k in range(42))
    part = later(training, "a,y\n1.5,TRUE\n2.5,false\n3.5,True\n", measured=True)
    assert part.labels_of(part.train.targets).tolist() == ["True", "False", "True"]


def test_codes_may_be_numbers_to_predict(read):
    text = "a,y\n" + "".join(f"{k}.5,{k % 12:03d}\n" for k in range(42))
    assert read(text, task="regression").train.targets[:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust", "quantile"])
def test_later_rows_are_scaled_as_those_of_training(scaling):
    """Columns of categories, and of what is missing, stay 0 and 1."""
    number = [None if k % 6 == 5 else float(k) for k in range(60)]
    table = frame_of(x=number, city=["Bern", "Oslo", "Rome"] * 20, y=["u", "v"] * 30)
    data = load_dataset(table, scaling=scaling, test_share=0.0)
    part = table[:7].drop("y")
    found = data.preparation.inputs("later", load_inputs(part, data.preparation), "float64")[:]
    np.testing.assert_array_equal(found, data.train.inputs[:7])
    assert set(np.unique(found[:, 1:])) == {0.0, 1.0}


@pytest.mark.filterwarnings("ignore:.*'gone' .it has no values:pluggable_mlp.DataWarning")
@pytest.mark.parametrize("kind", [polars.Categorical, polars.Enum(["n", "y", "z"])])
def test_kinds_of_texts(tmp_path, kind):
    texts = polars.Series(["n", "y"] * 20, dtype=kind)
    gone = polars.Series([None] * 40, dtype=polars.Null)
    table = polars.DataFrame({"a": [*range(4)] * 10, "c": texts, "gone": gone, "y": texts})
    table.write_parquet(tmp_path / "table.parquet")
    data = load_dataset(tmp_path / "table.parquet", test_share=0.0)
    assert data.class_labels == data.preparation.columns[1].categories == ("n", "y")
    assert data.preparation.columns[2].describe().becomes == "left out: it has no values"
