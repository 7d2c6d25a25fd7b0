"""`report`: one page of what runs reached and of what they were trained with."""

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp.figures import report
from tests.cli.saved_runs import FIGURES, FILES, content, names

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("figures_are_closed")


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the images empty: they take long."""
    monkeypatch.setattr(report, "_image", lambda *_: "<img >")


def test_a_report_is_one_page_that_needs_nothing_else(command, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [folders / name for name in FIGURES]
    outcome = command("report", *runs)
    assert (outcome.code, outcome.out) == (0, "report.html\n"), outcome.err
    text = Path("report.html").read_text()
    assert text.count("<img ") == 1 + sum(map(len, FIGURES.values()))
    assert not re.search(r'(src|href)="(?!data:image/png;base64,)', text)
    assert "<script" not in text
    for words in (
        "Comparison",
        "Settings",
        "numpy",
        "parameters sha256",
        *map(str, runs),
    ):
        assert words in text
    result, image, settings = (text.rindex(tag) for tag in ("<h3>Result", "<img ", "<h3>Settings"))
    assert text.rindex("<h2>") < result < image < settings


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_one_run_stands_in_it_and_goes_with_it(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command("train", "--quiet", "--epochs", 1, "--output", "run", "--learning-rate", 0)
    assert command("report", "run").out == "run/report.html\n"
    assert "<h1>run</h1>" in Path("run/report.html").read_text()
    assert not Path("report.html").exists()
    for path in (Path("run/plots/curve.png"), Path("run/model.onnx")):  # as of `plot` and `export`
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert command("train", "--resume", "run", "--epochs", 2).code == 0  # to the same parameters
    assert names(Path("run")) == FILES


@pytest.mark.usefixtures("undrawn")
def test_a_report_shows_the_preparation_of_a_table(command, tmp_path):
    """Names and texts of the table as they are, whatever they are."""
    rows = "\n".join(f"{'<red>' if k % 3 else 'blue&'},{k % 5},<{k % 2}>" for k in range(70))
    (tmp_path / "table.csv").write_text(f"<script>,floor_area,class\n{rows}\n")
    options = ("--data", tmp_path / "table.csv", "--hidden", 4, "--epochs", 1, "--recipe", "none")
    assert command("train", *options, "--output", tmp_path / "run").code == 0
    command("report", tmp_path / "run", "--output", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert not re.search("<(script|red|0|1)>|&(?!lt;|gt;|amp;)", page)
    shown = unescape(page.partition("<h3>Preparation</h3>")[2].partition("<h3>")[0])
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in shown.splitlines()]
    assert ["floor_area", "0", "0 to 4", "number"] in cells
    assert any(row[:1] == ["<script>"] and "<red>, blue&" in row[-1] for row in cells)
    facts = [line for line in shown.splitlines() if line.startswith("<p>")]
    printed = command("data", tmp_path / "run").out.splitlines()[3:]
    assert facts == [f"<p>{line}</p>" for line in printed]
    assert facts[1:] == ["<p>classification of 2 classes: <0>, <1></p>",
                         "<p>examples: 60 train, 10 test</p>"]  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_names_each_setting_once(command, folders, tmp_path):
    runs = [folders / "images", tmp_path / "<deep>", folders / "images"]
    command("train", "--quiet", "--epochs", 2, "--hidden", "9,8", "--output", runs[1])
    command("report", *runs, "--output", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    compared = text[text.index("Comparison") : text.index("<img")]
    rows = [re.findall(r">([^<>\n]+)<", row) for row in compared.split("<tr>")[2:]]
    names = [row[0] for row in rows]
    assert len(names) == len(set(names))
    assert "<deep>" not in text
    assert ["epochs", "3", "2", "3"] in rows
    assert ["hidden", "9", "9, 8", "9"] in rows
    (losses,) = (row[1:] for row in rows if row[0] == "train loss")
    expected = [content(run, "summary.json")["train_loss"] for run in runs]
    assert [*map(float, losses)] == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("undrawn")
def test_what_a_run_is_called_is_text(command, folders, tmp_path):
    strange = folders / "<b>"
    command("train", "--quiet", "--epochs", 1, "--output", strange)
    command("report", strange, "--output", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "<td>64 features, 8-bit pixels divided by 16</td>" in text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.filterwarnings("always::pluggable_mlp.data.DataWarning")
def test_a_report_without_the_data_says_so(command, tmp_path):
    data = tmp_path / "data.npz"
    np.savez(data, X=np.arange(70.0)[:, None] / 70, y=np.arange(70) % 2)
    command("train", "--quiet", "--data", data, "--epochs", 1, "--output", tmp_path / "run")
    data.unlink()
    outcome = command("report", tmp_path / "run", "--output", tmp_path / "r.html")
    assert outcome.code == 0
    assert "Warning: Without the figure of the test part: " in outcome.err
    assert (tmp_path / "r.html").read_text().count("<img ") == len(FIGURES["labels"])
    assert command("plot", tmp_path / "run").code == 2
