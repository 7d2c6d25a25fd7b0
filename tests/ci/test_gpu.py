"""`ci/gpu.sh` has a verdict for each step, whatever fails; what it measures sees what is wrong.

That its calls work is seen by a dry run, which is part of CI.
"""

import json
import os
import re
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np
import pytest

from ci import gpu, gpu_environment, gpu_measure
from pluggable_mlp.namespaces.reproducible import exactness
from tests.simulated_cupy import SimulatedCupyBackend, ndarray, xp

ROOT = Path(__file__).parents[2]
PLANS = [gpu.Plan(dry, Path("scratch")) for dry in (True, False)]
HANGS = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {!r}]); time.sleep(60)"
)


def step(name, code, **settings):
    return gpu.Step(name, ["-c", code], **settings)


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
    report = gpu.Report("part", False, tmp_path)
    gpu.run_steps(report, sys.executable, groups)
    written = json.loads((tmp_path / "part.json").read_text())
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
    assert (tmp_path / "part" / "works_again.txt").read_text().startswith("FAILED a test\n0\n1\n")


def test_all_passed_is_said_where_all_did(tmp_path):
    report = gpu.Report("part", True, tmp_path)
    gpu.run_steps(report, sys.executable, [[step("works", "")]])
    assert json.loads((tmp_path / "part.json").read_text())["passed"]


def test_a_python_that_is_not_there_is_a_verdict(tmp_path):
    report = gpu.Report("part", False, tmp_path)
    gpu.run_steps(report, str(tmp_path / "python"), [[step("starts", "")]])
    assert report.steps[0]["verdict"] == "failed"
    assert "No such file" in report.steps[0]["output"][-1]


@pytest.mark.slow
def test_no_step_starts_after_the_deadline_and_none_runs_beyond_it(tmp_path):
    report = gpu.Report("part", False, tmp_path)
    report.deadline = time.monotonic() + 2
    begin = time.monotonic()
    gpu.run_steps(report, sys.executable, [[step("long", "import time; time.sleep(60)")]] * 2)
    assert [step["verdict"] for step in report.steps] == ["too long", "no time"]
    assert time.monotonic() - begin < 30
    assert "no time" in (tmp_path / "part.json").read_text()


@pytest.mark.slow
def test_processes_of_a_step_end_with_it(tmp_path):
    alive = tmp_path / "alive"
    writes = f"import time, pathlib; time.sleep(2); pathlib.Path({str(alive)!r}).touch()"
    report = gpu.Report("part", False, tmp_path)
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
    plan = gpu.Plan(False, Path("scratch"))
    steps = gpu.shares(plan, "few", "not cupy", 3)
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


def test_precision_sees_tf32(monkeypatch):
    passed, result = gpu_measure.precision(CUPY, small=True)
    assert passed
    assert result["relative_error"] < 1e-6
    monkeypatch.setattr(xp, "matmul", rounded(11))
    passed, result = gpu_measure.precision(CUPY, small=True)
    assert not passed
    assert 1e-4 < result["relative_error"] < 1e-3


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


def test_microseconds_and_the_machine_are_reported():
    passed, costs = gpu_measure.microseconds(CUPY, small=True)
    assert passed
    assert all(cost > 0 for cost in costs.values())
    passed, machine = gpu_measure.machine()
    assert passed
    assert machine["versions"]["numpy"] == np.__version__
    assert "cupy" in machine["cublas"]
