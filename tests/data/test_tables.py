"""Tables: what is read, which lines are headers, how faults are reported."""

import datetime
import gzip
import sys

import numpy as np
import pytest

from pluggable_mlp.data import DataError, load_dataset

polars = pytest.importorskip("polars")

from tests.data.frames import COLUMNAR, FORMS  # noqa: E402 (polars)

X = np.arange(42, dtype=np.float64).reshape(14, 3) / 4 - 5
Y = np.arange(14) % 3
ROWS = [",".join(map(str, [*row, label])) for row, label in zip(X.tolist(), Y, strict=True)]


def check_is_all_of_it(dataset):
    assert dataset.train.inputs.tolist() == X.tolist()
    assert dataset.labels_of(dataset.train.targets).tolist() == Y.tolist()


HEADERS = {
    "none": "",
    "names": "a,b,c,label\n",
    "quoted": '"a","b","c","label"\n',
    "blank": "\n\na,b,c,label\n\n",
    "blanks": " \n\t\n",
    "byte order mark": "\ufeff",
    "byte order mark and names": "\ufeffa,b,c,label\n",
    "of numpy.savetxt": "# a,b,c,label\n",
    "blanks around": " a , b , c , label \n",
    "a name of two lines": 'a,"b\n(cm)",c,class\n',
    "semicolons in quotes": '"a;""b;",b,"c;",class\n',
    "digits in names": "a,b5,c 6,class\n",
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_is_read_as_it_is(read, header, end):
    text = HEADERS[header] + "\n".join(ROWS) + "\n"
    data = text.replace("\n", end).encode()
    for pack in (bytes, gzip.compress):
        check_is_all_of_it(read(pack(data)))


def test_fields_may_be_quoted(read):
    check_is_all_of_it(read("\n".join('"' + row.replace(",", '","') + '"' for row in ROWS)))


@pytest.mark.parametrize("first", ["0,1,2,3", "0.0,1.0,2.0,3", "2,3,4,5", "0,0,0,0", "5,5.1,5.2,6"])
def test_a_line_of_other_numbers_is_an_example(read, first):
    assert len(read("\n".join([first, *ROWS]), task="regression").train.inputs) == 15


def test_what_the_header_is_may_be_said(read):
    check_is_all_of_it(read("\n".join(["0,1,2,3", *ROWS]), header=True))
    numbers = "\n".join(["2019,2020,2021,class", *ROWS])
    with pytest.raises(DataError, match=r"column '4' holds 'class' in row 1.*say --header yes"):
        read(numbers, target="1", task="regression")
    check_is_all_of_it(read(numbers, header=True))
    texts = "u,v,n\n" * 7 + "v,u,y\n" * 7
    assert [len(read(texts, header=header).train.inputs) for header in (None, False)] == [13, 14]


def changed(row, text):
    return "\n".join([*ROWS[:row], text, *ROWS[row + 1 :]])


@pytest.mark.parametrize(
    ("text", "fault", "remedy"),
    [
        ("", "holds no rows", "a row for each"),
        ("a,b,label\n", "holds no rows", "a row for each"),
        (changed(3, "1,2,0"), "line 4 has 3 fields, the first has 4", "a line per example"),
        ("\na,b,c,d\n\n" + changed(3, "1,2,0"), "line 7 has 3 fields, the first has 4", "a line"),
        (changed(13, "1,x,3,0"), "column '2' holds 'x' in row 14, not a number", "correct it"),
        ("a,b,c,d\n" + changed(12, "1,x,3,0"), "column 'b' holds 'x' in row 13", "correct it"),
        (changed(3, "1,2,-inf,0"), "column '3' holds -inf in row 4", "fill"),
        (changed(3, "1,2,3,"), "row 4 lacks the target '4'", "leave out rows without a target"),
        (changed(3, "1,2,3,0.5"), "label 0.5 is not a whole number", "--task regression"),
        (changed(3, '"1,2,3,0'), "line 4 cannot be read: unexpected end of data", "quotation"),
        ("\n".join(ROWS).replace(",", "|"), "has no column but '-5.0|-4.75|", "commas"),
        ("a,a,y\n" + "1,2,0\n" * 9, "two columns are named 'a'", "name each column once"),
        ("a,,y\n" + "1,2,0\n" * 9, "column '1' holds 'a' in row 1", "say --header yes"),
        (",a,y\n" + "1,2,0\n" * 9, "a column has no name", "index=False"),
        (gzip.compress("\n".join(ROWS).encode())[:-1], "cannot be read", "new copy"),
        (b"1,2\n\xff\xfe1,2\n", "line 2 holds the byte 0xff, ", "latin-1"),
        (changed(3, "1"), "line 4 has 1 field, the first has 4", "a line per example"),
    ],
)
def test_faults_are_named_by_line_or_row_and_column(read, text, fault, remedy):
    with pytest.raises(DataError, match=r"table\.csv: ") as caught:
        read(text, task="classification")
    assert fault in str(caught.value)
    assert remedy in caught.value.args[2]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_the_encoding_may_be_said(read, tmp_path, encoding):
    text = "größe,stadt,y\n" + "1,Zürich,0\n2,Genève,1\n" * 9
    data = read(text.encode(encoding), encoding=encoding)
    assert data.preparation.feature_names == ("größe", "stadt=Genève", "stadt=Zürich")
    (tmp_path / "later.csv").write_bytes(text.encode(encoding))
    later = load_dataset(tmp_path / "later.csv", preparation=data.preparation, test_share=0.0)
    assert later.sha256() == data.sha256()
    for wrong in ("latin-l", ""):
        with pytest.raises(DataError, match=f"unknown encoding: {wrong}; name one"):
            read(text, encoding=wrong)


def semicolons(*columns):
    """A table of 20 rows, each column these values again and again."""
    rows = [[values[k % len(values)] for values in columns] for k in range(20)]
    return "\n".join(";".join(row) for row in [["a", "b", "y"], *rows])


@pytest.mark.parametrize(
    ("decimal", "numbers", "first"),
    [
        ("comma", ["1,5", "7", " ,25 "], 1.5),
        ("comma", ["-1e3", ".", "7,311"], -1000.0),
        ("point", ["1.5", "7", ".25"], 1.5),
    ],
)
def test_the_decimal_mark_is_said(read, tmp_path, decimal, numbers, first):
    """Also of targets, and of later files."""
    table = semicolons(numbers, ["u", "v"], [numbers[0], "2"])
    data = read(table, decimal=decimal, task="regression")
    assert (data.train.inputs[0, 0], data.train.targets[0]) == (first, first)
    (tmp_path / "later.csv").write_text(table)
    later = load_dataset(tmp_path / "later.csv", preparation=data.preparation, test_share=0.0)
    assert later.sha256() == data.sha256()


@pytest.mark.parametrize(("decimal", "other"), [("comma", "7.311"), ("point", "7,311")])
def test_numbers_with_the_other_mark_are_texts(read, decimal, other):
    """They may be groups of digits: 7,311 is not 7.311."""
    with pytest.raises(DataError, match=f"column 'a' holds '{other}' in row 20, not a number"):
        read(semicolons([*["1"] * 19, other], ["u", "v"], ["p", "q"]), decimal=decimal)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1])
@pytest.mark.parametrize("form", ["csv", "parquet", "polars", "pandas"])
def test_integers_that_a_float_does_not_hold_are_no_classes(tmp_path, form, number):
    """Rounded they would be other classes."""
    target = polars.Series("y", [1, 2, number, 3])
    frame = polars.DataFrame({"a": [0.5, 1.5, 2.5, 3.5], "y": target})
    table = FORMS[form](frame, tmp_path)
    with pytest.raises(DataError, match=rf"go from .*{number}.*; scale them to at most 2"):
        load_dataset(table, task="classification", test_share=0.0)


@pytest.mark.parametrize("task", [None, "classification"])
def test_integers_beyond_int64_are_no_targets_of_texts(read, task):
    """As floats, different ones would be the same."""
    rows = "".join(f"{n},{2**64 + n % 2}\n" for n in range(30))
    with pytest.raises(DataError, match=f"the target 'y' holds {2**64}; scale it to at most"):
        read("a,y\n" + rows, task=task)


def test_large_unsigned_integers_are_no_targets_of_frames():
    target = polars.Series("y", [1, 2**64 - 1], dtype=polars.UInt64)
    frame = polars.DataFrame({"a": [0.5, 1.5], "y": target})
    with pytest.raises(DataError, match=f"go from 1 to {2**64 - 1}; scale them"):
        load_dataset(frame, test_share=0.0)


def test_decimal_fractions_are_not_cut_off(tmp_path):
    prices = polars.Series("y", ["1.25", "2.50", "7.75"] * 9).cast(polars.Decimal(10, 2))
    frame = polars.DataFrame({"a": [*range(9)] * 3, "y": prices})
    frame.write_parquet(tmp_path / "table.parquet")
    data = load_dataset(tmp_path / "table.parquet", test_share=0.0)
    assert data.task == "regression"
    assert data.train.targets[:3].tolist() == [1.25, 2.5, 7.75]


def test_header_and_encoding_are_of_texts_alone():
    options = {"header": True, "encoding": "latin-1", "target": "a", "decimal": "comma"}
    for name, value in options.items():
        with pytest.raises(DataError, match=f"digits: {name} is .*; --{name} is for .csv"):
            load_dataset("digits", **{name: value})
        if name != "target":
            with pytest.raises(DataError, match=rf"polars data frame: {name} is .*\.tsv\.gz$"):
                load_dataset(mixed(), **{name: value})


def mixed():
    return polars.DataFrame(
        {
            "n": [1.5, None, 2.5, 4.0, 0.5, 1.0] * 5,
            "whole": [3, 1, 4, 1, None, 5] * 5,
            "city": ["Rome", None, "Bern", "Oslo", "Rome", "Bern"] * 5,
            "flag": [True, False, True, True, None, False] * 5,
            "y": ["b", "a", "c", "b", "a", "c"] * 5,
        }
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_table_is_the_same_data(tmp_path, form):
    data = load_dataset(FORMS[form](mixed(), tmp_path), test_share=0.0)
    assert data.sha256() == load_dataset(mixed(), test_share=0.0).sha256()
    columns = {column.name: column for column in data.preparation.columns}
    assert columns["n"].fill == 1.5
    assert columns["city"].categories == ("Bern", "Oslo", "Rome")
    assert columns["flag"].categories == ("false", "true")
    assert all(column.marks_missing for column in columns.values())
    assert data.class_labels == ("a", "b", "c")


def test_columns_of_one_name_are_refused():
    frame = pytest.importorskip("pandas").DataFrame([[1.0, 2.0, 3.0]] * 9, columns=list("aay"))
    with pytest.raises(DataError, match=r"^pandas data frame: .*'a'.*; name each column once$"):
        load_dataset(frame)


def test_a_data_frame_may_be_for_testing():
    frame = mixed()
    data = load_dataset(frame, test=frame[:6].select(reversed(frame.columns)), target="y")
    np.testing.assert_array_equal(data.test.inputs, data.train.inputs[:6])
    assert data.test.targets.tolist() == data.train.targets[:6].tolist()
    with pytest.raises(DataError, match=r"test_share is 0.2, and test .*; leave out --test or"):
        load_dataset(frame, test=frame, test_share=0.2)


@pytest.mark.parametrize("form", FORMS)
def test_dates_are_texts(tmp_path, form):
    days = [datetime.date(2024, 1, 1 + k % 3) for k in range(30)]
    frame = mixed().insert_column(0, polars.Series("day", days))
    day = load_dataset(FORMS[form](frame, tmp_path)).preparation.columns[0]
    assert day.categories == ("2024-01-01", "2024-01-02", "2024-01-03")


@pytest.mark.parametrize("form", COLUMNAR)
def test_lists_are_refused(tmp_path, form):
    frame = mixed().insert_column(0, polars.Series("list", [[1, 2]] * 30))
    with pytest.raises(DataError, match="column 'list' is of type List.*; write it as numbers or"):
        load_dataset(FORMS[form](frame, tmp_path))


def test_without_polars_the_error_says_how_to_install_it(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="reading tables needs polars, which") as caught:
        read("\n".join(ROWS))
    assert "python -m pip install 'pluggable-mlp[tables]'" in str(caught.value)


def test_a_missing_value_may_be_in_upper_and_lower_case():
    missing = ["NULL", "nUll", "Nan", "n/A", "None", "NONE", "nA", "?", "", " na ", None]
    texts = ["Nanny", "no"] * 20 + missing
    frame = polars.DataFrame({"x": texts, "label": [0, 1] * 25 + [1]})
    (column,) = load_dataset(frame, test_share=0.0).preparation.columns
    assert (column.missing, column.categories) == (len(missing), ("Nanny", "no"))
