"""Tables as people have them: gaps, columns in another order, codes, decimal commas, booleans."""

import csv
import io
import json
import re

import numpy as np
import pytest

polars = pytest.importorskip("polars")

TRAIN = ("--epochs", 3, "--hidden", 4, "--learning-rate", 0.05, "--recipe", "none")
COUNT = 70


def numbers():
    """Columns of numbers, and a class that follows from the first."""
    a = np.random.default_rng(5).normal(size=(COUNT, 2)).round(3)
    return {"a": a[:, 0].tolist(), "b": a[:, 1].tolist(), "y": (a[:, 0] > 0).astype(int).tolist()}


def write(path, table, header=True, delimiter=","):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        if header:
            writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


@pytest.fixture
def train(told, tmp_path):
    """Train on a table; return the run's folder."""

    def run(path, *options, folder="run"):
        folder = tmp_path / folder
        outcome = told("train", "--data", path, *TRAIN, *options, "--output", folder)
        assert outcome.code == 0, outcome.err
        return folder

    return run


def answers(outcome):
    assert outcome.code == 0, outcome.err
    return [row["prediction"] for row in csv.DictReader(io.StringIO(outcome.out))]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_every_row_has_an_answer(told, train, tmp_path, suffix):
    delimiter = "," if suffix == ".csv" else "\t"
    table = numbers()
    table["a"][3] = table["b"][3] = table["b"][5] = ""
    run = train(write(tmp_path / f"table{suffix}", table, delimiter=delimiter))
    lines = ["a,b", "1,2", ",", "", "3,4", "  ", ","]
    new = tmp_path / f"new{suffix}"
    new.write_text("\n".join(lines).replace(",", delimiter) + "\n\n")
    outcome = told("predict", run, new)
    given = [row.split(",")[1:] for row in outcome.out.splitlines()[1:]]
    assert len(given) == 4  # blank lines are no rows, rows of empty fields are
    assert given[1] == given[3] != given[0]


def test_a_column_alone_may_lack_values(told, train, tmp_path):
    table = {"a": ["", *numbers()["a"][1:]], "y": numbers()["y"]}
    run = train(write(tmp_path / "table.csv", table))
    (tmp_path / "new.csv").write_text('a\n1\n""\n\n2\n')
    assert len(answers(told("predict", run, tmp_path / "new.csv"))) == 3


@pytest.mark.parametrize("lacks", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_of_a_column_alone_are_not_rows(told, train, tmp_path, lacks, end):
    table = {"a": numbers()["a"], "y": numbers()["y"]}
    if lacks:
        table["a"][0] = ""
    run = train(write(tmp_path / "table.csv", table))
    lines = ["", "a", "1", "", "2", "  ", "3", "", ""]
    (tmp_path / "new.csv").write_bytes(end.join(lines).encode())
    assert len(answers(told("predict", run, tmp_path / "new.csv"))) == 3


def test_lines_of_spaces_alone_of_a_column_alone_are_not_rows(told, train, tmp_path):
    run = train(write(tmp_path / "table.csv", {"a": numbers()["a"], "y": numbers()["y"]}))
    (tmp_path / "new.csv").write_text("a\n1\n  \n2\n")
    assert len(answers(told("predict", run, tmp_path / "new.csv"))) == 2


@pytest.mark.parametrize("header", [True, False])
def test_a_gap_that_training_never_saw_is_its_median(told, train, tmp_path, header):
    """With a warning, also where all columns are numbers."""
    table = {
        "a": numbers()["a"],
        "b": [1.0 + 4.0 * (k % 3) for k in range(COUNT)],
        "y": numbers()["y"],
    }
    run = train(write(tmp_path / "table.csv", table, header=header), "--test-share", 0)
    (b, median), names = ("b" if header else "2", 5), "a,b\n" * header
    found = []
    for name, value in (("gap", ""), ("whole", median)):
        (tmp_path / f"{name}.csv").write_text(f"{names}1,2\n3,{value}\n")
        found.append(told("predict", run, tmp_path / f"{name}.csv"))
    gap, whole = found
    assert (gap.code, gap.out) == (0, whole.out), gap.err
    assert f"column '{b}' lacks values in 1 row, where training lacked none: they count as 5" in (
        gap.err
    )
    assert "lacks" not in whole.err


@pytest.mark.parametrize(
    ("values", "is_told"),
    [
        (range(COUNT), True),
        (range(1001, 1001 + COUNT), True),
        (range(0, 5 * COUNT, 5), False),
        ([1.5 * k for k in range(COUNT)], False),
        ([*range(COUNT - 10), *[3] * 10], False),
    ],
    ids=["from 0", "from 1001", "in fives", "halves", "repeated"],
)
def test_row_numbers_are_told(told, tmp_path, values, is_told):
    shuffled = np.random.default_rng(0).permutation(list(values)).tolist()
    outcome = told(
        "train", "--data", write(tmp_path / "t.csv", {"id": shuffled, **numbers()}), *TRAIN
    )
    assert outcome.code == 0, outcome.err
    words = "column 'id' holds another whole number in each row, as row numbers are; leave it out"
    assert (words in outcome.err) == is_told


def test_short_lines_are_named(told, train, tmp_path):
    table = numbers() | {"b": ["", *numbers()["b"][1:]]}
    run = train(write(tmp_path / "table.csv", table))
    (tmp_path / "new.csv").write_text("a,b\n1,2\n\n3\n")
    outcome = told("predict", run, tmp_path / "new.csv")
    assert (outcome.code, outcome.out) == (2, "")
    assert "new.csv: line 4 has 1 field, the first has 2;" in outcome.err


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_are_found_by_their_names(told, train, tmp_path, suffix):
    def save(name, table):
        if suffix == ".csv":
            return write(tmp_path / f"{name}.csv", table)
        polars.DataFrame(table).write_parquet(tmp_path / f"{name}.parquet")
        return tmp_path / f"{name}.parquet"

    table = numbers()
    run = train(save("table", table))
    expected = answers(told("predict", run, save("same", {k: table[k] for k in "ab"})))
    remarks = ["none, so far"] * COUNT
    permuted = save("permuted", {"b": table["b"], "note": remarks, "a": table["a"]})
    outcome = told("predict", run, permuted)
    assert answers(outcome) == expected
    assert outcome.err == f"Warning: {permuted}: columns that are not used: 'note'\n"
    for name, columns in (("surplus", [*"bya"]), ("texts", ["b", "note", "y", "a"])):
        all_columns = table | {"note": remarks}
        other = save(name, {k: all_columns[k] for k in columns})
        outcome = told("evaluate", "--json", run, "--data", other, "--backend", "numpy")
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["examples"] == COUNT
        assert ("columns that are not used: 'note'" in outcome.err) == (name == "texts")
    other = save("other", {"a": table["a"], "c": table["b"]})
    outcome = told("predict", run, other)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{other}: has no column 'b'; it has a, c; give the columns a, b\n" in outcome.err
    other = save("neither", {"c": table["a"], "d": table["b"]})
    assert "has no columns 'a', 'b'; it has c, d;" in told("predict", run, other).err
    for name in ("z", "Y"):  # one that is nothing like y, and one that is
        other = save(f"target {name}", {"a": table["a"], "b": table["b"], name: table["y"]})
        outcome = told("evaluate", run, "--data", other)
        assert (outcome.code, outcome.out) == (2, "")
        remedy = "name the columns as training's table did"
        assert f"{other}: has no column 'y'; it has a, b, {name}; {remedy}\n" in outcome.err


def test_columns_without_names_are_counted(told, train, tmp_path):
    table = numbers()
    run = train(write(tmp_path / "table.csv", table))
    features = {k: table[k] for k in "ab"}
    named = answers(told("predict", run, write(tmp_path / "named.csv", features)))
    bare = write(tmp_path / "bare.csv", features, header=False)
    assert answers(told("predict", run, bare)) == named
    outcome = told("predict", run, write(tmp_path / "wide.csv", table, header=False))
    assert (outcome.code, outcome.out) == (2, "")
    assert "has 3 features without names, training had 2; give a, b" in outcome.err


@pytest.mark.parametrize("extra", [[], ["x"]], ids=["embedded", "polars"])
@pytest.mark.parametrize(
    "labels",
    [
        ["01", "02", "10"],
        ["1", "01"],
        ["+1", "-1"],
        ["None", "NA", "-"],
        ["0", "1", "None"],
        ["True", "False"],
    ],
)
def test_labels_come_back_as_they_were_written(told, train, tmp_path, labels, extra):
    table = {"a": [10 * (k % len(labels)) + 0.001 * k for k in range(COUNT)]}
    table |= {"text": ["u", "v"] * (COUNT // 2)} if extra else {}
    table["y"] = [labels[k % len(labels)] for k in range(COUNT)]
    path = write(tmp_path / "table.csv", table)
    run = train(path, "--scaling", "standard", "--epochs", 60, "--learning-rate", 1.0)
    given = answers(told("predict", run, path))
    assert given == table["y"]
    measured = told("evaluate", "--json", run, "--data", path)
    assert measured.code == 0, measured.err
    assert json.loads(measured.out)["accuracy"] == 1


def test_whole_floats_may_be_numbers_of_classes(told, train, tmp_path):
    table = numbers()
    table["y"] = [f"{y}.0" for y in table["y"]]
    path = write(tmp_path / "table.csv", table)
    run = train(path, "--task", "classification")
    assert json.loads((run / "config.json").read_text())["class_labels"] == [0, 1]
    outcome = told("train", "--data", path, *TRAIN)
    assert "regression: y" in outcome.out
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("marker", "words"), [("NA", "2 rows lack the target 'y', row 3 first"), ("", "row 3 first")]
)
def test_a_measurement_may_not_be_missing(told, tmp_path, marker, words):
    table = numbers()
    table["y"] = [f"{x}5" for x in table["b"]]
    table["y"][2] = table["y"][9] = marker
    outcome = told("train", "--data", write(tmp_path / "table.csv", table))
    assert outcome.code == 2
    assert words in outcome.err


def test_padded_numbers_may_be_predicted(told, train, tmp_path):
    table = numbers() | {"y": [f"{k % 12:03d}" for k in range(COUNT)]}
    run = train(write(tmp_path / "table.csv", table), "--task", "regression")
    assert json.loads((run / "config.json").read_text())["task"] == "regression"


def test_booleans_are_alike_in_every_format(told, train, tmp_path):
    flags = [k % 3 == 0 for k in range(COUNT)]
    table = polars.DataFrame({"flag": flags, "a": numbers()["a"], "y": flags})
    table.write_parquet(tmp_path / "table.parquet")
    texts = {
        name: column.to_list() if name == "a" else [str(one) for one in column]
        for name, column in zip(table.columns, table, strict=True)
    }
    assert texts["flag"][0] == "True"  # as pandas writes
    path = write(tmp_path / "table.csv", texts)
    epochs = ("--epochs", 60, "--learning-rate", 0.5)
    for source in (path, tmp_path / "table.parquet"):
        run = train(source, *epochs, folder=source.suffix)
        for other in (path, tmp_path / "table.parquet"):
            outcome = told("evaluate", "--json", run, "--data", other)
            assert outcome.code == 0, outcome.err
            assert json.loads(outcome.out)["accuracy"] == 1
            assert "never saw" not in outcome.err


def test_a_file_of_booleans_alone_is_read_as_training_read_them(told, train, tmp_path):
    texts = [("True", "False", "Maybe")[k % 3] for k in range(COUNT)]
    table = {"s": texts, "a": numbers()["a"], "y": [int(text == "False") for text in texts]}
    run = train(write(tmp_path / "table.csv", table), "--epochs", 60, "--learning-rate", 0.5)
    for rows in (["False"], ["False", "Maybe"], ["True"]):
        path = write(tmp_path / "new.csv", {"s": rows, "a": [0.1] * len(rows)})
        outcome = told("predict", run, path)
        assert "never saw" not in outcome.err
        assert answers(outcome) == [str(int(row == "False")) for row in rows]


def test_infinity_in_parquet_is_named_by_its_row(told, train, tmp_path):
    table = numbers()
    polars.DataFrame(table).write_parquet(tmp_path / "table.parquet")
    run = train(tmp_path / "table.parquet")
    table["b"][57] = -float("inf")
    path = tmp_path / "infinite.parquet"
    polars.DataFrame(table).write_parquet(path)
    for outcome in (told("train", "--data", path), told("predict", run, path)):
        assert outcome.code == 2
        assert "infinite.parquet: column 'b' holds -inf in row 58; remove or fill" in outcome.err


@pytest.mark.parametrize("kind", [polars.Categorical, polars.Enum(["n", "y", "z"])])
def test_parquets_kinds_of_texts(told, train, tmp_path, kind):
    table = numbers()
    texts = polars.Series(["n" if y == 0 else "y" for y in table["y"]], dtype=kind)
    gone = polars.Series([None] * COUNT, dtype=polars.Null)
    polars.DataFrame({"a": table["a"], "c": texts, "gone": gone, "y": texts}).write_parquet(
        tmp_path / "table.parquet"
    )
    run = train(tmp_path / "table.parquet", "--epochs", 60, "--learning-rate", 0.5)
    config = json.loads((run / "config.json").read_text())
    assert config["class_labels"] == config["columns"][1]["categories"] == ["n", "y"]
    assert config["columns"][2]["kind"] == "left out"
    assert json.loads((run / "summary.json").read_text())["test_accuracy"] == 1


def test_a_field_may_hold_a_line_break(train, tmp_path):
    table = numbers() | {"text": ["two\n\nlines", "one"] * (COUNT // 2)}
    path = write(tmp_path / "table.csv", {k: table[k] for k in ("a", "text", "y")})
    config = json.loads((train(path) / "config.json").read_text())
    assert config["columns"][1]["categories"] == ["one", "two\n\nlines"]


@pytest.mark.parametrize("extra", [[], ["x"]], ids=["embedded", "polars"])
@pytest.mark.parametrize("header", [True, False])
def test_semicolons_and_decimal_commas(told, train, tmp_path, extra, header):
    def comma(values):
        return [str(value).replace(".", ",") for value in values]

    table = numbers()
    texts = {"text": ["u, or v", "w"] * (COUNT // 2)} if extra else {}
    plain = {"a": table["a"], "b": table["b"], **texts, "y": table["y"]}
    european = {"a": comma(table["a"]), "b": comma(table["b"]), **texts, "y": table["y"]}
    paths = [
        write(tmp_path / "plain.csv", plain, header),
        write(tmp_path / "european.csv", european, header, ";"),
    ]
    runs = [
        train(path, "--decimal", decimal, folder=decimal)
        for path, decimal in zip(paths, ("point", "comma"), strict=True)
    ]
    one, other = (json.loads((run / "config.json").read_text()) for run in runs)
    assert one["data_sha256"] == other["data_sha256"]
    given = [answers(told("predict", *pair)) for pair in zip(runs, paths, strict=True)]
    assert given[0] == given[1]


@pytest.mark.parametrize("pack", ["npz", "npy"])
def test_arrays_of_objects_name_the_remedy(told, tmp_path, pack):
    y = np.asarray(["a", "b"] * 35, dtype=object)
    if pack == "npz":
        np.savez(tmp_path / "table.npz", X=np.ones((COUNT, 2)), y=y)
        outcome = told("train", "--data", tmp_path / "table.npz")
    else:
        np.save(tmp_path / "X.npy", np.ones((COUNT, 2)))
        np.save(tmp_path / "y.npy", y)
        outcome = told("train", "--data", tmp_path)
    assert outcome.code == 2
    assert "y holds Python objects, which only pickle could read; save " in outcome.err
    assert ".astype(str)" in outcome.err


@pytest.mark.parametrize("form", ["${:.2f}", '"1,{:.0f}"'])
def test_prices_as_people_write_them_are_left_out_with_an_example(told, tmp_path, form):
    path = tmp_path / "table.csv"
    rows = (f"{k % 7},{form.format(100 + k)},{k % 2}\n" for k in range(COUNT))
    path.write_text("a,price,y\n" + "".join(rows))
    outcome = told("train", "--data", path, *TRAIN)
    assert outcome.code == 0
    assert re.search(r"'price' \(\d+ different texts, such as '(\$1|1,1)", outcome.err)


def test_that_a_text_is_missing_is_learned(told, train, tmp_path):
    """As of the cabins on the Titanic, which are nearly all different."""
    cabins = [f"C{k}" if k % 3 == 0 else "" for k in range(COUNT)]
    known = [int(cabin != "") for cabin in cabins]
    table = {"cabin": cabins, "a": numbers()["a"], "y": known}
    path = write(tmp_path / "table.csv", table)
    run = train(path, "--epochs", 60, "--learning-rate", 0.5)
    assert json.loads((run / "summary.json").read_text())["test_accuracy"] == 1
    new = {"cabin": ["X1", "", "C3"], "a": [0.1, 0.2, 0.3]}
    outcome = told("predict", run, write(tmp_path / "new.csv", new))
    assert answers(outcome) == ["1", "0", "1"]
    assert "never saw" not in outcome.err


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_any_line_ends(told, train, tmp_path, kind, end):
    texts = [("red", "green", "")[k % 3] for k in range(COUNT)]
    table = numbers() if kind == "numbers" else {"c": texts} | numbers()
    plain = write(tmp_path / "plain.csv", table)
    other = tmp_path / "other.csv"
    other.write_bytes(plain.read_bytes().replace(b"\n", end))
    run = train(plain)
    again = train(other, folder="again")
    hashes = [json.loads((one / "config.json").read_text())["data_sha256"] for one in (run, again)]
    assert hashes[0] == hashes[1]
    assert told("predict", run, other).out == told("predict", run, plain).out
