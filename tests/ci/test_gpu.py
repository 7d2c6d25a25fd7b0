"""`ci/gpu.sh` has a verdict for each step, whatever fails; what it measures sees what is wrong.

That its calls work is seen by a dry run, which is part of CI.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import time
import venv
from pathlib import Path

import numpy as np
import pytest

from ci import gpu, gpu_environment, gpu_measure
from pluggable_mlp.namespaces.reproducible import exactness
from tests.simulated_cupy import SimulatedCupyBackend, ndarray, xp

ROOT = Path(__file__).parents[2]
PLANS = [gpu.Plan(dry, Path("scratch"), Path("files")) for dry in (True, False)]
HANGS = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {!r}]); time.sleep(60)"
)


def step(name, code, **settings):
    return gpu.Step(name, ["-c", code], **settings)


def report_in(folder, dry=False):
    return gpu.Report("part", dry, folder / "out", folder / "files")


def test_other_steps_run_after_any_failure(tmp_path):
    groups = [
        [step("works", "print('fine'); print('{\"found\": 1}')")],
        [step("fails", "print('said'); raise SystemExit(1)")],
        [
            step("sees", "import os; assert os.environ['A'] == 'x'", environment={"A": "x"}),
            step("crashes", "import os; os.abort()"),
            step("hangs", "import time; time.sleep(60)", seconds=1),
        ],
        [step("works again", "print('FAILED a test'); [print(n) for n in range(30)]")],
    ]
    report = report_in(tmp_path)
    gpu.run_steps(report, sys.executable, groups)
    written = json.loads((tmp_path / "out" / "part.json").read_text())
    verdicts = {step["name"]: step["verdict"] for step in written["steps"]}
    assert verdicts == {
        "works": "passed",
        "fails": "failed",
        "sees": "passed",
        "crashes": "failed",
        "hangs": "too long",
        "works again": "passed",
    }
    assert not written["passed"]
    by_name = {step["name"]: step for step in written["steps"]}
    assert by_name["works"]["result"] == {"found": 1}
    assert by_name["fails"]["output"] == ["said"]
    assert by_name["works again"]["output"] == ["FAILED a test", *map(str, range(10, 30))]
    with tarfile.open(tmp_path / "out" / "part.tar.gz") as archive:
        said = archive.extractfile("part/works_again.txt").read()
    assert said.startswith(b"FAILED a test\n0\n1\n")


def test_two_files_of_plain_names_come_back_and_hold_everything(tmp_path):
    """From a machine that is lent come at most 8, and none of another name."""
    report = report_in(tmp_path)
    write = f"from pathlib import Path; Path({str(tmp_path / 'files')!r}, 'found.json').touch()"
    names = ["share 1 of 2, cupy", "share 2 of 2, cupy", "exact A=1 B=eager", "writes"]
    gpu.run_steps(report, sys.executable, [[step(name, write) for name in names]])
    came = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert came == ["part.json", "part.tar.gz"]
    with tarfile.open(tmp_path / "out" / "part.tar.gz") as archive:
        inside = [name.removeprefix("part/") for name in archive.getnames() if name != "part"]
    assert len(set(inside)) == len(names) + 1
    assert "found.json" in inside
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in inside)


def test_all_passed_is_said_where_all_did(tmp_path):
    report = report_in(tmp_path, dry=True)
    gpu.run_steps(report, sys.executable, [[step("works", "")]])
    assert json.loads(report.path.read_text())["passed"]


def test_a_python_that_is_not_there_is_a_verdict(tmp_path):
    report = report_in(tmp_path)
    gpu.run_steps(report, str(tmp_path / "python"), [[step("starts", "")]])
    assert report.steps[0]["verdict"] == "failed"
    assert "No such file" in report.steps[0]["output"][-1]


@pytest.mark.slow
def test_no_step_starts_after_the_deadline_and_none_runs_beyond_it(tmp_path):
    report = report_in(tmp_path)
    report.deadline = time.monotonic() + 2
    begin = time.monotonic()
    gpu.run_steps(report, sys.executable, [[step("long", "import time; time.sleep(60)")]] * 2)
    assert [step["verdict"] for step in report.steps] == ["too long", "no time"]
    assert time.monotonic() - begin < 30
    assert "no time" in report.path.read_text()


@pytest.mark.slow
def test_processes_of_a_step_end_with_it(tmp_path):
    alive = tmp_path / "alive"
    writes = f"import time, pathlib; time.sleep(2); pathlib.Path({str(alive)!r}).touch()"
    report = report_in(tmp_path)
    gpu.run_steps(report, sys.executable, [[step("hangs", HANGS.format(writes), seconds=1)]])
    time.sleep(2)
    assert not alive.exists()


@pytest.mark.parametrize("plan", PLANS, ids=["dry", "real"])
@pytest.mark.parametrize("part", gpu.PARTS)
def test_steps_have_unique_names_and_existing_files(part, plan):
    steps = [step for group in gpu.PARTS[part](plan) for step in group]
    assert len({step.name for step in steps}) == len(steps) > 0
    for argument in (a for step in steps for a in step.arguments if a.endswith(".py")):
        assert (ROOT / argument).is_file()


def arguments_of(part, plan):
    return [" ".join(step.arguments) for group in gpu.PARTS[part](plan) for step in group]


def test_bits_ask_every_device_for_everything():
    real = arguments_of("bits", PLANS[1])
    for spec in ("cupy", "torch:cuda", "jax:gpu"):
        for needed in (
            f"compare --backends numpy,{spec} --arithmetic native",
            f"compare --backends numpy,{spec} --arithmetic reproducible",
            f"certificate.json --backend {spec}",
            f"precision {spec}",
            f"exactness {spec}",
            f"microseconds {spec}",
        ):
            assert any(arguments.endswith(needed) for arguments in real), needed
    assert any(step.environment == gpu.EMULATION for group in gpu.bits(PLANS[1]) for step in group)
    assert sum("tests/test_recorded_runs.py" in arguments for arguments in real) == 3


@pytest.mark.parametrize("part", gpu.PARTS)
def test_each_call_has_time_for_its_steps(part):
    """Ten minutes, of which the environment takes some; one part of the benchmark may take all."""
    assert gpu.SECONDS < 600
    groups = gpu.PARTS[part](PLANS[1])
    assert all(step.seconds <= gpu.SECONDS for group in groups for step in group)
    if part == "benchmark":
        assert {step.seconds for group in groups for step in group} == {gpu.SECONDS}


def test_results_of_the_benchmark_come_back():
    assert all(
        "--output files --only" in arguments for arguments in arguments_of("benchmark", PLANS[1])
    )


def test_steps_can_be_chosen_by_their_names():
    groups = gpu.chosen(gpu.benchmark(PLANS[1]), ["fit", "inference"])
    assert [step.name for group in groups for step in group] == ["inference", "fit"]
    every = gpu.benchmark(PLANS[1])
    assert gpu.chosen(every, []) == every


def test_a_step_that_is_not_there_is_refused():
    command = [sys.executable, "ci/gpu.py", "benchmark", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "benchmark has no step speed: choose of ['steps', " in done.stderr


def collected(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *gpu.PYTEST, "--collect-only", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if "::" in line]


SOME = ("tests/backends/test_contract.py", "tests/backends/test_cupy.py", "tests/test_shortcuts.py")


@pytest.mark.slow
def test_each_device_gets_its_own_tests():
    everything = collected(*SOME)
    by_name = {test for test in everything if "cupy" in test.partition("[")[0]}
    for device in (*gpu.DEVICES, *gpu.DRY_DEVICES[:1]):
        chosen = set(collected(*SOME, "-k", device.selection))
        of_it = {test for test in everything if re.search(rf"[\[-]{device.member}\b", test)}
        assert of_it
        assert of_it <= chosen <= of_it | by_name


@pytest.mark.slow
def test_shares_are_all_of_the_tests_and_no_test_is_in_two():
    steps = gpu.shares(PLANS[1], "few", "not cupy", 3)
    parts = [
        collected(*SOME, *step.arguments[len(gpu.PYTEST) :], **step.environment) for step in steps
    ]
    assert sorted(test for part in parts for test in part) == sorted(
        collected(*SOME, "-k", "not cupy")
    )
    assert min(map(len, parts)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("ensurepip", [True, False])
def test_the_environment_sees_packages_and_pip_of_this_one(monkeypatch, tmp_path, ensurepip):
    create = venv.create

    def without_ensurepip(folder, *, with_pip=False, **settings):
        create(folder, **settings)
        if with_pip:
            raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(venv, "create", create if ensurepip else without_ensurepip)
    gpu_environment.make_environment(tmp_path / "new")
    code = "import sys, numpy, pip; print(sys.prefix, numpy.__version__)"
    new = [str(tmp_path / "new" / "bin" / "python"), "-c", code]
    said = subprocess.run(new, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(tmp_path / "new"), np.__version__]


@pytest.mark.slow
def test_cuda_s_libraries_of_the_parent_are_found(tmp_path):
    """By CuPy's finder, which looks into the folder of the running environment alone."""
    pathfinder = pytest.importorskip("cuda.pathfinder")
    parent, new = tmp_path / "parent", tmp_path / "new"
    venv.create(parent, symlinks=True)
    (packages,) = parent.glob("lib/python*/site-packages")
    (packages / "pathfinder.pth").write_text(str(Path(pathfinder.__file__).parents[2]))
    header = packages / "nvidia" / "cu13" / "include" / "nvrtc.h"
    header.parent.mkdir(parents=True)
    header.touch()
    code = "from cuda.pathfinder import find_nvidia_header_directory as find; print(find('nvrtc'))"
    make = [parent / "bin" / "python", ROOT / "ci" / "gpu_environment.py", new]
    subprocess.run(make, check=True)
    for python in (parent, new):
        find = [python / "bin" / "python", "-c", code]
        said = subprocess.run(find, capture_output=True, text=True, check=True).stdout
        assert Path(said.strip()).resolve() == header.parent.resolve()


# What the suite can do without, and a machine with a GPU need not have.
NOT_THERE = ("ndonnx", "onnx", "onnxruntime", "pandas", "polars", "tensorboardX", "torch", "jax")


WITHOUT_THEM = """
import sys
import pytest

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        absent = name.split(".")[0] in sys.argv[1].split()
        return None if absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_all_files_of_tests_can_be_read_where_optional_packages_are_absent():
    command = [sys.executable, "-c", WITHOUT_THEM, " ".join(NOT_THERE)]
    command += ["--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "could not import 'polars'" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("required", [False, True])
def test_an_absent_package_is_a_failure_where_each_is_required(required, tmp_path):
    (tmp_path / "test_top.py").write_text(
        "import pytest\npytest.importorskip('no_such')\ndef test_top(): ...\n"
    )
    (tmp_path / "test_within.py").write_text(
        "import pytest\ndef test_within(): pytest.importorskip('no_such', reason='not here')\n"
    )
    asked = ["-p", "ci.every_package"] if required else []
    command = [sys.executable, "-m", "pytest", "-q", *asked, "-p", "no:cacheprovider", tmp_path]
    command += ["--continue-on-collection-errors", "--rootdir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ("1 failed, 1 error" if required else "2 skipped") in done.stdout


def test_wheels_that_travel_are_installed_and_nothing_is_looked_for_elsewhere(tmp_path):
    for name in ("one-1-py3-none-any.whl", "two-2-py3-none-any.whl", "notes.txt"):
        (tmp_path / name).touch()
    [[wheels], [project]] = gpu.installation(str(tmp_path))
    assert {Path(a).name for a in wheels.arguments if a.endswith(".whl")} == {
        "one-1-py3-none-any.whl", "two-2-py3-none-any.whl"
    }  # fmt: skip
    assert all("--no-index" in step.arguments for step in (wheels, project))
    assert not any("--no-index" in step.arguments for [step] in gpu.installation(None))


CUPY = SimulatedCupyBackend()


def rounded(bits):
    def matmul(a, b):
        return ndarray(np.matmul(*(cut(x.memory, bits) for x in (a, b))).astype(a.dtype))

    return matmul


def cut(x, bits):
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent)


@pytest.mark.simulated_cupy
def test_precision_sees_tf32(monkeypatch):
    passed, result = gpu_measure.precision(CUPY, small=True)
    assert passed
    assert result["relative_error"] < 1e-6
    monkeypatch.setattr(xp, "matmul", rounded(11))
    passed, result = gpu_measure.precision(CUPY, small=True)
    assert not passed
    assert 1e-4 < result["relative_error"] < 1e-3


@pytest.mark.simulated_cupy
@pytest.mark.slow
def test_exactness_reports_inexact_products_and_their_refusal(monkeypatch):
    assert gpu_measure.exactness(CUPY, small=True) == (True, {"inexact": [], "refused": ""})
    monkeypatch.setattr(xp, "matmul", rounded(24))
    monkeypatch.setattr(exactness, "_tried", set())
    passed, result = gpu_measure.exactness(CUPY, small=True)
    assert passed, "the library refuses it, which is safe"
    assert "not exact" in result["refused"]
    assert len(result["inexact"]) == 16, "both sizes, stacked and not, each operand in both orders"
    monkeypatch.setattr(exactness, "require_exact_products", lambda *_: None)
    passed, _ = gpu_measure.exactness(CUPY, small=True)
    assert not passed


@pytest.mark.simulated_cupy
def test_microseconds_and_the_machine_are_reported():
    passed, costs = gpu_measure.microseconds(CUPY, small=True)
    assert passed
    assert all(cost > 0 for cost in costs.values())
    passed, machine = gpu_measure.machine()
    assert passed
    assert machine["versions"]["numpy"] == np.__version__
    assert "cupy" in machine["cublas"]
