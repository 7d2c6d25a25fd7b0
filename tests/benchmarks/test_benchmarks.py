"""The benchmark is fair and tells what it found: no timing decides here.

Every contender that is installed must do the same work as all others, and one that does not must
be caught; the tables and the documents must say what the results say.
"""

import json
import re
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.numpy_loop import NumpyLoop
from benchmarks.field import TRIAL_STEPS, failure
from benchmarks.job import Job
from benchmarks.score_table import mean_scores

ROOT = Path(__file__).parents[2]
ENTRIES = CONTENDERS["numpy"]
# A run proves all others before it measures them.
JOBS = [
    Job((20, 12, 10), 4, "sgd", examples=4 * TRIAL_STEPS, test_examples=8),
    Job((20, 12, 11, 10), 4, "adam", examples=4 * TRIAL_STEPS, test_examples=8),
]
# Compiling takes too long for a test, and the limit learns nothing.
COMPETITORS = [name for name in ENTRIES if name not in ("limit", "torch-compiled")]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: f"{job.network}, {job.batch}")
@pytest.mark.parametrize("name", COMPETITORS)
@pytest.mark.filterwarnings("default")  # the libraries' own
def test_contenders_do_the_same_work(name, job):
    pytest.importorskip(ENTRIES[name].library)
    assert failure(ENTRIES[name], job) == ""


class ForgetsBiases(NumpyLoop):
    def _forward(self, x):
        for b in self._bs:
            b[...] = 0.0
        return super()._forward(x)


class SumsTheLoss(NumpyLoop):
    def _descend(self, w, g, *moments):
        super()._descend(w, g * self.job.batch, *moments)


class CorrectsNoBias(NumpyLoop):
    def _adam(self, w, g, m, v):
        self._updates = 10**6
        super()._adam(w, g, m, v)


class LearnsOnePercentFaster(NumpyLoop):
    def _update(self, gradients):
        before = [w.copy() for w in self._Ws + self._bs]
        super()._update(gradients)
        for w, old in zip(self._Ws + self._bs, before, strict=True):
            w[...] += 0.01 * (w - old)


SGD_JOB, ADAM_JOB = JOBS
FAULTS = [
    *((fault, job) for job in (SGD_JOB, ADAM_JOB) for fault in (
        ForgetsBiases, LearnsOnePercentFaster
    )),
    (SumsTheLoss, SGD_JOB),
    (CorrectsNoBias, ADAM_JOB),
]  # fmt: skip


@pytest.mark.parametrize(
    ("faulty", "job"), FAULTS, ids=[f"{fault.__name__}-{job.optimizer}" for fault, job in FAULTS]
)
def test_a_contender_that_does_other_work_is_detected(faulty, job):
    entry = ENTRIES["loop"]._replace(path=f"{__name__}:{faulty.__name__}")
    assert "off by" in failure(entry, job)


MACHINE = {
    "processor": "a processor", "threads": 2, "system": "Linux", "python": "3.11",
    "versions": {"numpy": "2"}, "date": "2030-01-01T00:00:00", "load_before": 0.0,
    "blas": [{"architecture": "Haswell"}],
}  # fmt: skip
# JAX's loop over the epoch and PyTorch compiled are the faster ways there; NumPy has one way.
SAMPLES = {
    "limit": [1e-4, 1e-4, 1e-4],
    "ours": [2e-4, 2e-4, 2e-4],
    "ours-uint8": [1.5e-4, 1.5e-4, 1.5e-4],
    "ours-torch": [3e-4, 2e-4, 5e-4],
    "ours-jax": [0.5e-4, 0.5e-4, 0.5e-4],
    "torch": [6e-4, 5e-4, 4e-4],
    "torch-compiled": [4e-4, 2e-4, 4e-4],
    "jax": [8e-4, 8e-4, 8e-4],
    "jax-scan": [0.4e-4, 0.5e-4, 0.4e-4],
    "loop": [1.5e-4, 1.5e-4, 1.5e-4],
}
CASE = {
    "network": "784-100-10", "batch": 128, "optimizer": "sgd", "failed": {}, "seconds": SAMPLES,
}  # fmt: skip
OF_NUMPY = {"seconds": {name: SAMPLES[name] for name in ("limit", "ours", "loop")}}


@pytest.fixture
def tables_of(tmp_path, monkeypatch):
    """Return the tables of results by hand: {table: list of rows, each {column: cell}}."""

    def made(**results):
        for name, result in results.items():
            whole = {"machine": MACHINE} | result
            (tmp_path / f"{name}.json").write_text(json.dumps(whole), encoding="utf-8")
        monkeypatch.setattr(tables, "RESULTS", tmp_path)
        found = tables.recorded_tables()
        assert all(("Measured on a" in text) == (name != "numbers") for name, text in found.items())
        page = tables.report("numpy", tmp_path)
        assert all(text in page for text in found.values())
        return {name: rows_of(text) for name, text in found.items()}

    return made


def rows_of(text):
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_every_cell_is_compared_with_the_faster_way_by_hand(tables_of):
    (row,) = tables_of(inference={"cases": [CASE]})["ratios"]
    assert row == {
        "": "predictions",
        "network": "784-100-10",
        "batch": "128",
        "products alone": "100 µs",
        "pluggable-mlp / products": "2.00",
        "pluggable-mlp, uint8 pixels / products": "1.50",
        "NumPy": "1.33 (bare NumPy loop)",
        "PyTorch": "1.00 (PyTorch compiled)",  # of pairs: 0.75, 1, 1.25
        "JAX": "1.25 (JAX jit, whole epoch)",
        "our fastest / fastest by hand": "1.25 (pluggable-mlp on jax / JAX jit, whole epoch)",
    }


def price(backend, native, reproducible, **others):
    return {
        "backend": backend, "network": "784-100-10", "batch": 128, "data": "8-bit pixels",
        "dtype": "float32", "failed": {}, "peak_memory_ratio": None,
        "seconds": {"native": native, "reproducible": reproducible},
    } | others  # fmt: skip


def fits(**seconds):
    scores = {name: [0.9, 0.8] for name in seconds}
    return {"data": "iris", "examples": 112, "features": 4, "scores": scores, "seconds": seconds}


def test_the_six_numbers_by_hand(tables_of):
    """Ours 0.5 over 0.4 by hand; 2 over 1.5; 2 s over 3 s; 3 and 5 over 1; 100 ms over 400 ms."""
    prices = [price("numpy", [1.0], [3.0]), price("numpy", [1.0], [5.0])]
    prices += [price("jax", [1.0], [9.0]), price("numpy", [], [], failed={"native": "why"})]
    imports = {"import pluggable_mlp": [0.1], "import sklearn.neural_network": [0.4]}
    rows = tables_of(
        steps={"cases": [CASE, CASE | OF_NUMPY | {"optimizer": "adam"}]},
        inference={"cases": [CASE | OF_NUMPY]},
        estimators={"cases": [fits(theirs=[3.0], ours=[2.0])]},
        reproducible={"cases": prices},
        startup={"seconds": imports},
    )["numbers"]
    assert [row["result"] for row in rows] == [
        "1.25 (1.25 to 1.25)",
        "1.33 (1.33 to 1.33)",
        "1.33 (1.33 to 1.33)",
        "0.67 (0.67 to 0.67)",
        "4.00 (3.00 to 5.00)",
        "0.25",
    ]


def test_a_mean_score_is_rounded_once():
    scores = [{"data": "iris", "model": "trees", "score": score} for score in (0.87852, 0.87854)]
    assert mean_scores(scores, ["trees"]) == "0.879"


def test_documents_name_tables_that_there_are():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {
        name for page in pages for name in re.findall(r"<!-- begin (.+?) -->", page.read_text())
    }
    assert "numbers" in named
    assert named <= {*tables.recorded_tables(), "options", "launches"}
