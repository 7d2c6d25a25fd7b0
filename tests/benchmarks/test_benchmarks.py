"""The benchmark is fair and tells what it found: no timing decides here.

Every contender that is installed must do the same work as all others, and one that does not must
be caught; the tables and the documents must say what the results say.
"""

import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks import chart, estimators, run, tables
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.numpy_loop import NumpyLoop
from benchmarks.field import TRIAL_STEPS, failure, tolerance
from benchmarks.job import Job
from pluggable_mlp import BackendUnavailable, get_backend
from pluggable_mlp.randomness import permutation

ROOT = Path(__file__).parents[2]
ENTRIES = CONTENDERS["numpy"]
JOBS = [
    Job((20, 12, 10), 4, "sgd", examples=4 * TRIAL_STEPS, test_examples=8),
    Job((20, 12, 11, 10), 4, "adam", examples=4 * TRIAL_STEPS, test_examples=8),
    Job((20, 12, 10), 1, "sgd", examples=2 * TRIAL_STEPS, test_examples=8),
]
# Compiling takes too long for a test, and the limit learns nothing.
COMPETITORS = [name for name in ENTRIES if name not in ("limit", "torch-compiled")]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: f"{job.network}, {job.batch}")
@pytest.mark.parametrize("name", COMPETITORS)
@pytest.mark.filterwarnings("default")  # the libraries' own
def test_contenders_do_the_same_work(name, job):
    pytest.importorskip(ENTRIES[name].library)
    assert failure(ENTRIES[name], job) == ""


@pytest.mark.parametrize("name", ["ours-jax", "jax", "jax-scan"])
def test_jax_competes_on_a_gpu_and_never_on_the_processor_in_its_place(name):
    jax = pytest.importorskip("jax")
    with suppress(RuntimeError):
        jax.devices("gpu")
        pytest.skip("there is a GPU")
    assert "gpu" in failure(CONTENDERS["cupy"][name], JOBS[0]).lower()


@pytest.mark.parametrize("job", JOBS[:2], ids=lambda job: job.optimizer)
def test_a_cuda_graph_of_pytorch_is_a_whole_step(job, monkeypatch):
    pytest.importorskip("torch")
    from tests.backends.simulated_torch_cuda import SimulatedGraph, simulate_cuda

    simulate_cuda(monkeypatch)
    entry = CONTENDERS["cupy"]["torch-graph"]
    assert failure(entry._replace(options={"device": "cpu"}), job) == ""
    assert SimulatedGraph.launches == 2 * TRIAL_STEPS


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


class SkipsTheLastBatch(NumpyLoop):
    def start(self, *, shuffle, steps=None):
        super().start(shuffle=shuffle, steps=steps)
        self.count -= self.job.batch


class PredictsBeforeTraining(NumpyLoop):
    def predict(self, batches):
        self.start(shuffle=False)
        return super().predict(batches)


class CutsSlowly(NumpyLoop):
    def cut(self, batch):
        time.sleep(1.0)
        return super().cut(batch)


class Fails(NumpyLoop):
    def epoch(self):
        raise RuntimeError("no memory\nfor this")


SGD_JOB, ADAM_JOB, _ = JOBS
FAULTS = [
    *((fault, job) for job in (SGD_JOB, ADAM_JOB) for fault in (
        ForgetsBiases, LearnsOnePercentFaster, SkipsTheLastBatch, PredictsBeforeTraining
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


def test_why_a_contender_failed_is_its_result():
    entry = ENTRIES["loop"]._replace(path=f"{__name__}:Fails")
    assert failure(entry, SGD_JOB) == "RuntimeError: no memory"


def test_batches_are_cut_before_the_clock_starts():
    loop = CutsSlowly(SGD_JOB)
    loop.warm_up()
    assert 0.0 < loop.time_prediction() < 1.0


def test_pixels_and_floats_are_the_same_numbers():
    job = Job((20, 12, 10), 4, examples=8, test_examples=4)
    for raw, prepared in zip(job.pixels(), job.floats(), strict=True):
        assert raw.dtype == np.uint8
        assert prepared.dtype == np.float32
        np.testing.assert_array_equal(prepared * 256, raw)
    standardised, _ = replace(job, standardised=True, dtype="float64").floats()
    assert standardised.mean() == pytest.approx(0.0, abs=1e-12)
    assert standardised.std() == pytest.approx(1.0)


class ShufflesAsTheLibrary(NumpyLoop):
    def order(self):
        return permutation(0, "shuffle", 1, self.count)


def test_ours_visits_the_examples_in_the_order_of_the_library():
    job = Job((20, 12, 10), 4, examples=20, test_examples=4)
    loop, ours = ShufflesAsTheLibrary(job), ENTRIES["ours"].make(job)
    for contender in (loop, ours):
        contender.start(shuffle=True)
    assert ours.epoch() == pytest.approx(loop.epoch(), rel=tolerance(job))
    assert ours.fit() == pytest.approx(loop.fit(), rel=tolerance(job))
    predicted, expected = (each.predict(each.cut(4))[0] for each in (ours, loop))
    np.testing.assert_allclose(predicted, expected, atol=tolerance(job))


def test_a_shuffled_epoch_visits_every_example_once():
    loop = NumpyLoop(SGD_JOB)
    loop.start(shuffle=True)
    first, second = loop.order(), loop.order()
    assert sorted(first) == sorted(second) == list(range(SGD_JOB.examples))
    assert list(first) != list(second)


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
SLOWER = {"seconds": OF_NUMPY["seconds"] | {"ours": [3e-4, 3e-4, 3e-4]}}


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
        "fastest of ours, of all peers": "1.25 (pluggable-mlp on jax / JAX jit, whole epoch)",
    }


def test_what_was_not_measured_is_left_empty(tables_of):
    failed = {"seconds": {"ours": [1e-4], "jax": [2e-4]}, "failed": {"loop": "why"}}
    (row,) = tables_of(fit={"cases": [CASE | failed]})["ratios"]
    assert row["products alone"] == row["pluggable-mlp / products"] == ""
    assert set(row) & {"NumPy", "PyTorch", "JAX"} == set()
    assert row["fastest of ours, of all peers"] == "0.50 (pluggable-mlp / JAX jit)"


def test_the_short_table_says_median_least_and_largest(tables_of):
    fits = {"cases": [CASE | OF_NUMPY | {"optimizer": "adam"}]}
    rows = tables_of(steps={"cases": [CASE, CASE | SLOWER]}, fit=fits)["summary"]
    by_library = {row.pop("ours / by hand"): row for row in rows}
    assert by_library["NumPy"] == {
        "steps, SGD": "1.67 (1.33 to 2.00)",
        "whole fit, Adam": "1.33 (1.33 to 1.33)",
    }
    assert by_library["JAX"] == {"steps, SGD": "1.25 (1.25 to 1.25)", "whole fit, Adam": ""}
    assert list(by_library)[-1] == "fastest of ours, of all peers"
    assert by_library["fastest of ours, of all peers"]["steps, SGD"] == "1.62 (1.25 to 2.00)"


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


def test_estimators_are_compared_with_those_of_scikit_learn(tables_of):
    cases = [fits(**{"theirs": [3.0, 3.0], "ours": [2.0, 2.0], "ours-jax": [1.0, 1.0]})]
    (row,) = tables_of(estimators={"cases": cases})["estimators"]
    assert row == {
        "data": "iris",
        "examples x features": "112 x 4",
        "score": "0.8500",
        "scikit-learn's": "0.8500",
        "its standard error": "0.0500",
        "scikit-learn's fit": "3 s",
        "its time / ours": "1.50",
        "its time / ours on jax": "3.00",
    }


def test_the_price_of_the_same_bits(tables_of):
    cases = [
        price("numpy", [2e-3], [5e-3], peak_memory_ratio=1.5),
        price("jax", [], [], failed={"reproducible": "why"}),
    ]
    first, second = tables_of(reproducible={"cases": cases})["reproducible"]
    assert list(first.values())[4:] == ["2 ms", "5 ms", "2.50", "1.50"]
    assert list(second.values())[4:] == ["why", "", "", ""]


def test_memory_and_startup(tables_of):
    contenders = {"ours": {"data": 47_000_000, "peak": 156_000_000}}
    memory = {"network": "784-1024-10", "optimizer": "adam", "examples": 59904}
    found = tables_of(
        memory=memory | {"contenders": contenders},
        startup={"seconds": {"import numpy": [0.1, 0.08, 0.3]}},
    )
    assert list(found["memory"][0].values()) == ["pluggable-mlp", "47", "156", "109"]
    assert list(found["startup"][0].values()) == ["`import numpy`", "100 ms", "80 ms"]


def test_the_limit_of_a_step_by_hand(tables_of):
    """At a byte and an operation a nanosecond, 4 examples through 3-2-5 are limited by memory.

    The first layer's two products move 4 (12 + 6 + 8) = 104 bytes each, the second's three
    4 (8 + 10 + 20) = 152.
    """
    slow = {"gflops": {"float32": 1.0, "float64": 0.5}, "gigabytes_per_second": 1.0}
    assert tables.least_seconds("3-2-5", 4, slow) == pytest.approx((2 * 104 + 3 * 152) * 1e-9)
    fast_memory = slow | {"gigabytes_per_second": 1e9}
    operations = 2 * 4 * (2 * 3 * 2 + 3 * 2 * 5)
    assert tables.least_seconds("3-2-5", 4, fast_memory) == pytest.approx(operations * 1e-9)
    speed = slow | {"microseconds_per_call": 0.5}
    row = tables_of(roofline=speed, steps={"cases": [CASE]})["roofline"][0]
    assert row["batch, network"] == "128, 784-100-10"
    assert (row["products measured"], row["whole step"]) == ("100 µs", "200 µs")
    assert row["roofline"] == "40.9 ms"  # 2 x 128 x (2 x 78,400 + 3 x 1,000) = 40,908,800


def test_each_part_in_a_table_is_said_to_be_of_its_machine(tmp_path):
    other = MACHINE | {"processor": "another processor"}
    for part, machine in (("steps", MACHINE), ("inference", MACHINE), ("fit", other)):
        result = {"cases": [CASE], "machine": machine}
        (tmp_path / f"{part}.json").write_text(json.dumps(result))
    first, second = re.findall(r"Measured on .*", tables.report("numpy", tmp_path))[-2:]
    assert first.startswith("Measured on a processor, 2 threads")
    assert "steps on 2030-01-01" in first
    assert "inference on 2030-01-01" in first
    assert second.startswith("Measured on another processor,")
    assert "fit on 2030-01-01" in second


def test_processes_are_not_said_to_have_the_threads_of_a_contender(tmp_path):
    names = [f"{name} {count}" for name in ("native", "reproducible", "torch") for count in (1, 2)]
    case = {"network": "784-512-10", "batch": 256, "bytes": dict.fromkeys(names, 0.0)}
    case |= {"share": case["bytes"], "seconds": {name: [1.0] for name in names}}
    (tmp_path / "scaling.json").write_text(json.dumps({"cases": [case], "machine": MACHINE}))
    said = tables.report("numpy", tmp_path)
    assert "Measured on a processor, 1 thread for each process, " in said
    assert "2 threads" not in said


def test_who_was_left_out_is_named_with_the_reason(tmp_path):
    case = CASE | {"failed": {"torch": "off by 1.0e-02"}}
    (tmp_path / "fit.json").write_text(json.dumps({"cases": [case], "machine": MACHINE}))
    told = "Left out of whole fit, SGD, 784-100-10, 128: PyTorch eager: off by 1.0e-02"
    assert told in tables.report("numpy", tmp_path)


def test_the_chart_has_a_line_for_each_library_ours_and_by_hand(tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # text stays text
    drawn = tmp_path / "chart.svg"
    chart.draw_steps(ENTRIES, [CASE], drawn)
    text = drawn.read_text()
    for name in ("NumPy", "PyTorch", "JAX"):
        assert f"pluggable-mlp on {name}" in text
        assert f"{name} by hand" in text
    assert "784-100-10, SGD" in text
    chart.draw_steps(ENTRIES, [CASE | OF_NUMPY], drawn)
    assert "pluggable-mlp on JAX" not in drawn.read_text()


def test_documents_name_tables_that_there_are():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {
        name for page in pages for name in re.findall(r"<!-- begin (.+?) -->", page.read_text())
    }
    assert "numbers" in named
    assert named <= {*tables.recorded_tables(), "options", "launches"}


def test_a_run_writes_each_part_when_it_is_done(tmp_path, monkeypatch):
    given, written, module = {}, {}, ModuleType("measured")
    monkeypatch.setitem(sys.modules, "measured", module)

    def part(name):
        def measured(backend, quick):
            given[name] = (backend, quick)
            written[name] = sorted(path.stem for path in tmp_path.glob("*.json"))
            return {"value": 1 / 3}

        setattr(module, name, measured)
        return f"measured:{name}"

    parts = {name: part(name) for name in ("fit", "memory", "roofline")}
    monkeypatch.setattr(run, "PARTS", parts)
    monkeypatch.setattr(tables, "report", lambda backend, folder: f"{backend} in {folder}")
    always = ["run.py", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*always, "--only", "fit", "memory"])
    assert run.main() == 0
    assert given == {"fit": ("numpy", False), "memory": ("numpy", False)}
    assert written == {"fit": [], "memory": ["fit"]}  # a run may be broken off
    recorded = json.loads((tmp_path / "fit.json").read_text())
    assert recorded["value"] == 0.33333
    assert recorded["machine"]["versions"]["numpy"] == np.__version__
    monkeypatch.setattr("sys.argv", [*always, "--quick"])
    assert run.main() == 0
    assert given["roofline"] == ("numpy", True)


def ran(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "run.py", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_measures_a_part_and_prints_its_table(tmp_path):
    done = ran("--quick", "--only", "roofline", "--output", str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["roofline.json"]
    assert "## The limit of a step" in done.stdout
    assert "GFLOP/s in float32" in done.stdout


def test_a_part_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "--only", "speed"])
    with pytest.raises(SystemExit, match="2"):
        run.main()
    assert "invalid choice: 'speed'" in capsys.readouterr().err


def test_a_backend_that_is_not_there_is_named(monkeypatch, capsys):
    with suppress(BackendUnavailable):
        get_backend("cupy")
        pytest.skip("there is a GPU")
    monkeypatch.setattr("sys.argv", ["run.py", "--backend", "cupy"])
    assert run.main() == 3
    assert "cupy" in capsys.readouterr().err.lower()


@pytest.mark.slow
def test_the_command_measures_the_price_in_processes_of_their_own(tmp_path):
    done = ran("--quick", "--only", "reproducible", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    cases = json.loads((tmp_path / "reproducible.json").read_text())["cases"]
    assert [case["backend"] for case in cases] == ["numpy", "torch", "jax"]
    for case in cases:
        if case["backend"] == "numpy" or find_spec(case["backend"]):
            assert case["failed"] == {}
            assert all(len(taken) == 5 for taken in case["seconds"].values())


@pytest.mark.slow
def test_estimators_have_the_same_data_and_seeds():
    (case,) = estimators.estimators("numpy", quick=True)["cases"]
    assert case["scores"]["ours"] == case["scores"]["theirs"]
    assert (case["examples"], case["features"]) == (112, 4)
    others = {f"ours-{name}" for name in ("torch", "jax") if find_spec(name)}
    assert set(case["scores"]) == {"ours", "theirs"} | others
