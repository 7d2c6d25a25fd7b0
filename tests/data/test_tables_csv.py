"""Comma-separated text: what is read, which lines are headers, what is told of its faults."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluggable_mlp.data import DataError
from pluggable_mlp.data.preprocessing import build_dataset
from pluggable_mlp.data.tables import read_csv, read_csv_table

examples = settings(max_examples=200)
X = np.arange(42, dtype=np.float64).reshape(14, 3) / 4 - 5
Y = np.arange(14) % 3


@pytest.fixture(scope="session")
def read(scratch):
    def read_bytes(data, name="table.csv"):
        path = scratch / name
        path.write_bytes(data)
        return read_csv(str(path))

    return read_bytes


def check_is_all_of_it(source):
    inputs, labels = source.splits["train"]
    assert inputs.tolist() == X.tolist()
    assert labels.tolist() == Y.tolist()
    assert list(source.splits) == ["train"]


ROWS = [",".join(map(str, [*row, label])) for row, label in zip(X.tolist(), Y, strict=True)]
HEADERS = {
    "none": "",
    "names": "a,b,c,label\n",
    "quoted": '"a","b","c","label"\n',
    "blank": "\n\na,b,c,label\n\n",
    "byte order mark": "\ufeff",
    "blanks": " \n\t\n",
    "byte order mark and names": "\ufeffa,b,c,label\n",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_csv_is_read_as_it_is(read, check_rules, header, end, pack):
    text = header + "\n".join(ROWS) + "\n"
    source = read(pack(text.replace("\n", end).encode()))
    check_is_all_of_it(source)
    check_rules(build_dataset(source))


def test_csv_fields_may_be_quoted(read):
    text = "\n".join('"' + row.replace(",", '","') + '"' for row in ROWS)
    check_is_all_of_it(read(text.encode()))


def changed(row, text):
    return "\n".join([*ROWS[:row], text, *ROWS[row + 1 :]])


@pytest.mark.parametrize(
    ("text", "fault", "remedy"),
    [
        ("", "holds no numbers", "line of numbers"),
        (" \n\n", "holds no numbers", "line of numbers"),
        ("a,b,label\n", "holds no numbers", "line of numbers"),
        (changed(3, "1,2,0"), "line 4 has 3 fields, line 1 has 4", "a line per example"),
        (changed(3, "1,2,3,4,0"), "line 4 has 5 fields, line 1 has 4", "a line per example"),
        ("a,b,c,d\n\n" + changed(3, "1,2,0"), "line 6 has 3 fields, line 3 has 4", "a line per"),
        (changed(3, "1,x,3,0"), "line 4, column 2 holds 'x', which is not a number", "header"),
        ("a,b,c,d\n \n" + changed(3, "1,x,3,0"), "line 6, column 2 holds 'x'", "header"),
        ('a,"b\n\nc",c,d\n' + changed(3, "1,x,3,0"), "line 7, column 2 holds 'x'", "header"),
        (changed(3, "1,2,3,setosa"), "line 4, column 4 holds 'setosa'", "number the classes"),
        (changed(0, "1,x,3,0"), "line 1, column 2 holds 'x', which is not a number", "header"),
        (changed(0, "150,4,setosa,versicolor"), "line 1, column 3 holds 'setosa'", "header"),
        (changed(3, "1,,3,0"), "line 4, column 2 is empty", "missing values"),
        (changed(0, "1,,3,0"), "line 1, column 2 is empty", "missing values"),
        (changed(0, "?,?,?,?"), "line 1, column 1 holds '?'", "missing values"),
        (changed(3, "1,NA,3,0"), "line 4, column 2 holds 'NA'", "missing values"),
        (changed(3, "1,nan,3,0"), "line 4, column 2 holds 'nan'", "missing values"),
        (changed(3, "1,2,-inf,0"), "line 4, column 3 holds '-inf', which is not finite", "fill"),
        (changed(3, "1e999,2,3,0"), "line 4, column 1 holds '1e999', which is not finite", "fill"),
        (changed(3, "1,2,3,nan"), "line 4, column 4 holds 'nan'", "missing values"),
        (
            changed(3, "1,2,3,0.5"),
            "label 0.5 is not a whole number",
            "train with --task regression",
        ),
        (changed(3, '"1,2,3,0'), "line 4 has a quotation mark without its partner", "close"),
        (changed(3, "1,2,3,0\0"), r"line 4, column 4 holds '0\x00', which is not a number", ""),
        (changed(3, "1,2,1_0,0"), "line 4, column 3 holds '1_0', which is not a number", ""),
        ("\n".join(ROWS).replace(",", "|"), "line 2, column 1 holds", "commas, not by '|'"),
        ("\n".join(ROWS).replace(",", "\t"), "line 2, column 1 holds", r"commas, not by '\t'"),
        ("\n".join(ROWS).replace(",", " "), "line 2, column 1 holds", "commas, not by ' '"),
        ("\n".join("1" for _ in ROWS), "one column", "separate by commas"),
        ("\n".join(ROWS[:6]), "holds 6 examples", "give at least 7"),
        ('"' + "x" * 2**18, "line 1: field larger than field limit", "a line per example"),
        (gzip.compress("\n".join(ROWS).encode())[:-1], "cannot be read", "new copy"),
        (b"1,2\n\xff\xfe1,2\n", "is not UTF-8 text: line 2 holds the byte 0xff", "UTF-8"),
        ("1,2\n".encode("utf-16"), "is not UTF-8 text: line 1 holds the byte 0xff", "UTF-8"),
    ],
)
def test_errors_count_rows_and_columns_as_editors_do(read, text, fault, remedy):
    with pytest.raises(DataError, match=r"table\.csv: ") as caught:
        build_dataset(read(text.encode() if isinstance(text, str) else text))
    assert fault in str(caught.value)
    assert remedy in caught.value.args[2]


@pytest.mark.parametrize("header", ["a,a,y", "a,b,a", '# a,b," a "'])
def test_names_that_repeat_are_refused(read, header):
    text = f"{header}\n" + "1,2,0\n3,4,1\n" * 7
    with pytest.raises(DataError, match=r"csv: two columns are named 'a'; name each column once"):
        read(text.encode())


def test_a_csv_bomb_is_cut_off(read, peak_memory):
    bomb = gzip.compress(b"0,1\n" * 2**22, mtime=0) * 64

    def refuse():
        with pytest.raises(DataError, match="bomb"):
            read(bomb, "table.csv.gz")

    assert peak_memory(refuse) < 150 * 2**20


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
@examples
@given(st.one_of(st.binary(max_size=60), st.text("019.,-e\n\r\"'anif ;\0#", max_size=60)))
def test_random_text_is_a_fault_or_valid_data(read, data_or_fault, text):
    data = text.encode() if isinstance(text, str) else text
    data_or_fault(lambda: build_dataset(read(data)), "table.csv")


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
@examples
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_changed_csv_is_a_fault_or_valid_data(read, data_or_fault, changes):
    data = bytearray("\n".join(ROWS).encode())
    for place, change in changes:
        data[place % len(data)] ^= change
    data_or_fault(lambda: build_dataset(read(bytes(data))), "table.csv")


FLOWERS = ["5.1,3.5,1.4,0.2,0", "4.9,3.0,1.4,0.2,1", "4.7,3.2,1.3,0.2,0"]
VALUES = [[float(number) for number in row.split(",")] for row in FLOWERS]


@pytest.fixture
def table(tmp_path):
    def read(*lines):
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines) + "\n")
        return read_csv_table(str(path)).tolist()

    return read


NAMING = {
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


@pytest.mark.parametrize("header", NAMING.values(), ids=NAMING)
def test_a_header_is_left_out(table, header):
    assert table(header, *FLOWERS) == VALUES
    assert table("", header, "", *FLOWERS) == VALUES


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
    assert table(first, *FLOWERS) == [
        [float(number) for number in first.split(",")],
        *VALUES,
    ]


@pytest.mark.parametrize("first", ["0,1,2,3,4", "1,2,3,4,5", "5,5.1,5.2,6,0"])
def test_a_line_that_occurs_again_is_an_example(table, first):
    row = [float(number) for number in first.split(",")]
    assert table(first, *FLOWERS, first) == [row, *VALUES, row]


@pytest.mark.parametrize(
    "first",
    ["1,2,3,4,5", "0,0.1,0.2,0.3,5", "7,0,0.1,0.2,0.3"],
    ids=["counted from 1", "pandas' names of zeros", "and of some"],
)
def test_ambiguous_columns_are_refused(table, first):
    with pytest.raises(DataError, match=f"table.csv: line 2, {first}, may name the columns or"):
        table("", first, *FLOWERS)
    assert table("a,b,c,d,e", first, *FLOWERS) == [
        [float(n) for n in first.split(",")],
        *VALUES,
    ]


def test_three_column_numbers_are_none(table):
    assert table("0,1,2", "5.1,3.5,0", "4.9,3.0,1") == [[5.1, 3.5, 0.0], [4.9, 3.0, 1.0]]


@pytest.mark.parametrize("first", ["0", "0,1"])
def test_one_or_two_column_numbers_may_be_chance(table, first):
    rows = ["0.5,1", "1.5,0"] if "," in first else ["0.5", "1.5"]
    with pytest.raises(DataError, match=f"line 1, {first}, may name the columns or be an example"):
        table(first, *rows)
    assert table(first, *rows, first)[0] == [float(number) for number in first.split(",")]


@pytest.mark.parametrize("header", [",0,1,2,3", ",a,b,c,class", "Unnamed: 0,a,b,c,class"])
def test_an_index_column_is_not_a_feature(table, header):
    with pytest.raises(DataError, match=r"column 1 has no name in line 1: it is pandas' index"):
        table(header, *FLOWERS)


def test_column_numbers_do_not_shift_predictions(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["0,1,2,3,4", *FLOWERS]))
    inputs, labels = read_csv(str(path)).splits["train"]
    assert labels.tolist() == [0, 1, 0]
    assert inputs.shape == (3, 4)
