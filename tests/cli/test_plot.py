"""`plot` and `report`: figures that show what the run reached, and one page that holds all."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from pluggable_mlp.data import load_dataset
from pluggable_mlp.figures import figures_of, history_of, learning_curves
from pluggable_mlp.runs.saved import load_run

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A classification of images, a regression of a table, a multilabel run."""
    folder = tmp_path_factory.mktemp("runs")
    x = np.random.default_rng(0).normal(size=(210, 3))
    np.savez(folder / "numbers.npz", X=x, y=np.stack([x.sum(axis=1), x[:, 0]], axis=1))
    np.savez(folder / "labels.npz", X=x, y=(x[:, :2] > 0).astype(int))
    data = {"images": "digits"} | {k: folder / f"{k}.npz" for k in ("numbers", "labels")}
    for name, spec in data.items():
        arguments = ["train", "--data", spec, "--epochs", 3, "--hidden", 9, "--quiet"]
        arguments += ["--validation", 0.1, "--output", folder / name, "--learning-rate", 0.05]
        program = [sys.executable, "-m", "pluggable_mlp", *map(str, arguments)]
        subprocess.run(program, check=True, capture_output=True)
    return folder


FIGURES = {
    "images": ["learning-curves", "confusion-matrix", "first-layer"],
    "numbers": ["learning-curves", "residuals", "first-layer"],
    "labels": ["learning-curves", "first-layer"],
}


@pytest.mark.parametrize("name", FIGURES)
def test_plot_writes_images(command, folders, tmp_path, name):
    outcome = command("plot", folders / name, "--output", tmp_path)
    assert outcome.code == 0, outcome.err
    files = [tmp_path / f"{figure}.png" for figure in FIGURES[name]]
    assert outcome.out.split() == [str(file) for file in files]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_plots_stand_in_the_run_and_go_with_it(command, folders, tmp_path):
    run = tmp_path / "run"
    given = ("train", "--quiet", "--epochs", 1, "--output", run)
    command(*given)
    assert command("plot", run, "--format", "svg").code == 0
    assert (run / "plots" / "confusion-matrix.svg").read_text().startswith("<?xml")
    assert command(*given, "--overwrite").code == 0
    assert not (run / "plots").exists()


def shown(folders, name):
    backend = get_backend("numpy")
    return figures_of(folders / name, load_run(folders / name, backend), backend)


def test_the_confusion_matrix_counts_the_test_part(command, folders, tmp_path):
    """Its numbers against those of what `predict` says."""
    test = load_dataset("digits").test
    np.save(tmp_path / "x.npy", test.inputs)
    command("predict", folders / "images", tmp_path / "x.npy", "--output", tmp_path / "p.npy")
    expected = np.zeros((10, 10), int)
    for truth, said in zip(test.targets, np.load(tmp_path / "p.npy"), strict=True):
        expected[truth, said] += 1
    axis = shown(folders, "images")["confusion-matrix"].axes[0]
    found = np.zeros((10, 10), int)
    for text in axis.texts:
        column, row = text.get_position()
        found[row, column] = int(text.get_text())
    assert (found == expected).all()


def test_residuals_are_predictions_less_targets(folders):
    test = load_dataset(folders / "numbers.npz", task="regression", validation=0.1).test
    for output, axis in enumerate(shown(folders, "numbers")["residuals"].axes):
        points = np.asarray(axis.collections[0].get_offsets())
        truth = points[:, 0] - points[:, 1]
        np.testing.assert_allclose(truth, test.targets[:, output], atol=1e-5)


def test_curves_are_the_metrics(folders):
    history = history_of(folders / "images")
    loss, accuracy = learning_curves({"a": history}).axes
    lines = {line.get_label(): line.get_ydata() for line in (*loss.lines, *accuracy.lines)}
    for label, key in (
        ("train loss", "train_loss"),
        ("validation loss", "validation_loss"),
        ("a", "validation_accuracy"),
    ):
        assert list(lines[label]) == [line[key] for line in history]


def test_the_first_layer_is_shown_as_images(folders):
    backend = get_backend("numpy")
    run = load_run(folders / "images", backend)
    axes = shown(folders, "images")["first-layer"].axes
    images = [axis.images[0].get_array() for axis in axes if axis.images]
    assert len(images) == 9
    for unit, image in enumerate(images):
        assert (np.asarray(image) == run.parameters[0]["W"][:, unit].reshape(8, 8)).all()


def test_the_features_of_a_table_are_named(command, tmp_path):
    rows = "\n".join(f"{k / 7},{k % 5},{k % 2}" for k in range(70))
    (tmp_path / "table.csv").write_text(f"area,year,class\n{rows}\n")
    given = ("--data", tmp_path / "table.csv", "--hidden", 4, "--epochs", 1)
    assert command("train", *given, "--output", tmp_path / "run").code == 0
    ticks = shown(tmp_path, "run")["first-layer"].axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["area", "year"]


@pytest.mark.parametrize("last", ["number", "category"])
def test_a_square_count_of_named_features_makes_no_images(command, tmp_path, last):
    """Sixteen: a category of two values becomes two."""
    names = [f"c{k}" for k in range(16 if last == "number" else 14)]
    columns = [[f"{(k * n) % 11}" for n in range(1, len(names) + 1)] for k in range(70)]
    if last == "category":
        names, columns = [*names, "d"], [[*row, "ab"[k % 2]] for k, row in enumerate(columns)]
    rows = "\n".join(",".join([*row, str(k % 2)]) for k, row in enumerate(columns))
    (tmp_path / "table.csv").write_text(",".join([*names, "class"]) + f"\n{rows}\n")
    given = ("--data", tmp_path / "table.csv", "--hidden", 4, "--epochs", 1)
    assert command("train", *given, "--output", tmp_path / "run").code == 0
    axis = shown(tmp_path, "run")["first-layer"].axes[0]
    ticks = [tick.get_text() for tick in axis.get_xticklabels()]
    assert ticks == (names if last == "number" else [*names[:-1], "d=a", "d=b"])


def test_named_pixels_make_images(command, tmp_path):
    digits = load_dataset("digits").train
    rows = np.column_stack([digits.inputs[:140].astype(int) * 15, digits.targets[:140]])
    names = ",".join([*(f"pixel{k}" for k in range(64)), "label"])
    np.savetxt(tmp_path / "table.csv", rows, "%d", ",", header=names, comments="")
    given = ("--data", tmp_path / "table.csv", "--scaling", "pixels", "--hidden", 4, "--epochs", 1)
    assert command("train", *given, "--output", tmp_path / "run").code == 0
    images = [axis for axis in shown(tmp_path, "run")["first-layer"].axes if axis.images]
    assert len(images) == 4


def test_a_report_is_one_page_that_needs_nothing_else(command, folders, tmp_path):
    page = tmp_path / "all.html"
    runs = [folders / name for name in FIGURES]
    outcome = command("report", *runs, "--output", page)
    assert (outcome.code, outcome.out) == (0, f"{page}\n"), outcome.err
    text = page.read_text()
    assert text.count("<img ") == 1 + sum(map(len, FIGURES.values()))
    assert not re.search(r'(src|href)="(?!data:image/png;base64,)', text)
    assert "<script" not in text
    for words in (
        "Comparison",
        "Settings",
        "Certificate",
        "numpy",
        "settings sha256",
        *map(str, runs),
    ):
        assert words in text


BROWSER = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), "")
LOOK = """<script>addEventListener("load", () => {
const found = {
  images: [...document.images].map((image) => [image.alt, image.naturalWidth, image.width]),
  requests: performance.getEntriesByType("resource").map((one) => one.name),
  wide: document.documentElement.scrollWidth > innerWidth,
  heads: [...document.querySelectorAll("h2")].map((head) => head.innerText)
};
console.log("FOUND" + JSON.stringify(found) + "END");
});</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1280, 480])
def test_a_browser_shows_the_report(command, folders, tmp_path, width):
    """Without a network; a script beside the page says what the browser made of it."""
    runs = [folders / name for name in FIGURES]
    command("report", *runs, "--output", tmp_path / "report.html")
    page = tmp_path / "looked-at.html"
    page.write_text((tmp_path / "report.html").read_text().replace("</body>", f"{LOOK}</body>"))
    program = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
               f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},6000",
               f"--screenshot={tmp_path / 'page.png'}", page.as_uri()]  # fmt: skip
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    assert len(said) == 1, said  # no error, no warning
    found = json.loads(re.search('"FOUND(.*)END"', said[0])[1])
    names = ["comparison", *(figure for name in FIGURES for figure in FIGURES[name])]
    assert [name for name, *_ in found["images"]] == names
    assert all(wide > 200 and shown > 200 for _, wide, shown in found["images"])
    assert not [name for name in found["requests"] if not name.startswith("data:")]
    assert not found["wide"]
    assert found["heads"] == ["Comparison", *map(str, runs)]
    from matplotlib.image import imread

    picture = imread(tmp_path / "page.png")[..., :3]
    assert picture.shape[1] == width
    colored = (picture.max(axis=2) - picture.min(axis=2)) > 0.2
    assert 0.005 < colored.mean() < 0.5


def test_a_comparison_names_each_setting_once(command, folders, tmp_path):
    runs = [folders / "images", tmp_path / "deep"]
    command("train", "--quiet", "--epochs", 2, "--hidden", "9,8", "--output", runs[1])
    command("report", *runs, "--output", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    compared = text[text.index("Comparison") : text.index("<img")]
    rows = [re.findall(r">([^<>\n]+)<", row) for row in compared.split("<tr>")[2:]]
    names = [row[0] for row in rows]
    assert len(names) == len(set(names))
    assert ["epochs", "3", "2"] in rows
    assert ["hidden", "9", "9, 8"] in rows


def test_what_a_run_is_called_is_text(command, folders, tmp_path):
    strange = folders / "<b>"
    command("train", "--quiet", "--epochs", 1, "--output", strange)
    command("report", strange, "--output", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "&lt;b&gt;" in text
    assert "<b>" not in text


def test_a_report_without_the_data_says_so(command, tmp_path):
    data = tmp_path / "data.npz"
    np.savez(data, X=np.arange(70.0)[:, None] / 70, y=np.arange(70) % 2)
    command("train", "--quiet", "--data", data, "--epochs", 1, "--output", tmp_path / "run")
    data.unlink()
    outcome = command("report", tmp_path / "run", "--output", tmp_path / "r.html")
    assert outcome.code == 0
    assert "Warning: Without the figures of the test part: " in outcome.err
    assert (tmp_path / "r.html").read_text().count("<img ") == 1
    assert command("plot", tmp_path / "run").code == 2


def test_without_matplotlib_the_extra_is_named(folders):
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None; from pluggable_mlp.cli import main;"
        f"sys.argv = ['pluggable-mlp', 'plot', {str(folders / 'images')!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python -m pip install 'pluggable-mlp[plot]'" in done.stderr
