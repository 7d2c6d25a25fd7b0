"""Which first lines are headers, and which are examples."""

import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.csv_text import read_csv, read_csv_table

ROWS = ["5.1,3.5,1.4,0.2,0", "4.9,3.0,1.4,0.2,1", "4.7,3.2,1.3,0.2,0"]
TABLE = [[float(number) for number in row.split(",")] for row in ROWS]


@pytest.fixture
def table(tmp_path):
    def read(*lines):
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines) + "\n")
        return read_csv_table(str(path)).tolist()

    return read


HEADERS = {
    "pandas": "0,1,2,3,4",
    "pandas, the class named": "0,1,2,3,class",
    "pandas, the class first": "class,0,1,2,3",
    "counted from 1": "class,1,2,3,4",
    "names": "a,b,c,d,class",
    "names with blanks": " a , b , c , d , class ",
    "quoted": '"0","1","2","3","4"',
    "a name of two lines": 'a,"b\n(cm)",c,d,class',
    "a name with digits": "a,b,c,d5,e 6",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_is_left_out(table, header):
    assert table(header, *ROWS) == TABLE
    assert table("", header, "", *ROWS) == TABLE


EXAMPLES = [
    "0,1,2,3,0",
    "0,2,1,3,4",
    "0.0,1.0,2.0,3.0,4.0",
    "2,3,4,5,6",
    "0,0,0,0,0",
    "5,5.1,6,7,0",
]


@pytest.mark.parametrize("first", EXAMPLES)
def test_an_example_is_kept(table, first):
    assert table(first, *ROWS) == [[float(number) for number in first.split(",")], *TABLE]


@pytest.mark.parametrize("first", ["0,1,2,3,4", "1,2,3,4,5", "5,5.1,5.2,6,0"])
def test_a_line_that_occurs_again_is_an_example(table, first):
    row = [float(number) for number in first.split(",")]
    assert table(first, *ROWS, first) == [row, *TABLE, row]


@pytest.mark.parametrize(
    "first",
    ["1,2,3,4,5", "0,0.1,0.2,0.3,5", "7,0,0.1,0.2,0.3"],
    ids=["counted from 1", "pandas' names of zeros", "and of some"],
)
def test_what_may_be_either_is_asked(table, first):
    with pytest.raises(DataError, match=f"table.csv: line 2, {first}, may name the columns or"):
        table("", first, *ROWS)
    assert table("a,b,c,d,e", first, *ROWS) == [[float(n) for n in first.split(",")], *TABLE]


def test_three_column_numbers_are_none(table):
    assert table("0,1,2", "5.1,3.5,0", "4.9,3.0,1") == [[5.1, 3.5, 0.0], [4.9, 3.0, 1.0]]


@pytest.mark.parametrize("first", ["0", "0,1"])
def test_one_or_two_column_numbers_may_be_chance(table, first):
    rows = ["0.5,1", "1.5,0"] if "," in first else ["0.5", "1.5"]
    with pytest.raises(DataError, match=f"line 1, {first}, may name the columns or be an example"):
        table(first, *rows)
    assert table(first, *rows, first)[0] == [float(number) for number in first.split(",")]


@pytest.mark.parametrize("header", [",0,1,2,3", ",a,b,c,class", "Unnamed: 0,a,b,c,class"])
def test_an_index_is_no_feature(table, header):
    with pytest.raises(DataError, match=r"column 1 has no name in line 1: it is pandas' index"):
        table(header, *ROWS)


def test_numbers_of_columns_shift_no_prediction(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["0,1,2,3,4", *ROWS]))
    inputs, labels = read_csv(str(path)).splits["train"]
    assert labels.tolist() == [0, 1, 0]
    assert inputs.shape == (3, 4)
