"""`ci/gpu.sh` reports each test, whatever fails; its checks see what is wrong.

That its calls work is seen on the emulated card, in CI.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ci import gpu_bits, gpu_report
from pluggable_mlp.arrays import compiling

ROOT = Path(__file__).parents[2]


def gpu(*arguments, **environment):
    return subprocess.run(
        ["bash", "ci/gpu.sh", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(os.name != "posix", reason="a script of POSIX shells")
def test_a_part_that_is_not_there_is_refused():
    for arguments in ((), ("speed",), ("--no-such", "bits")):
        done = gpu(*arguments)
        assert done.returncode == 2
        assert "usage: bash ci/gpu.sh bits|tests|benchmark|others [pytest's" in done.stderr


ENDS = """
import os, signal, time
from pathlib import Path

def test_end_passes(record_property):
    print("said")
    record_property("found", 7)

def test_end_fails():
    assert False, "as planted"

def test_end_crashes():
    os.abort()

def test_end_hangs():
    # The limit comes when the others are done: its clock is the process `timeout`.
    pid, command = os.getpid(), [""]
    while command[0] != "timeout":
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\\0")
    assert 0 < int(command[5]) <= int(os.environ["LIMIT"])
    printed = Path(os.environ["OUT"]) / "tests.txt"
    while "[ 75%]" not in printed.read_text():  # three of four
        time.sleep(0.05)
    os.kill(pid, signal.SIGALRM)
    time.sleep(600)
"""


@pytest.mark.nightly
@pytest.mark.slow
def test_what_was_done_before_the_limit_is_reported_in_few_files(tmp_path):
    """From a machine that is lent come at most 8 files, of plain names."""
    (tmp_path / "test_ends.py").write_text(ENDS)
    out = tmp_path / "out"
    chosen = (str(tmp_path / "test_ends.py"), "-k", "test_end_")
    done = gpu("tests", *chosen, LIMIT="300", OUT=str(out))
    assert done.returncode == 1, done.stdout
    came = {path.name for path in out.iterdir()}
    assert came == {"tests.md", "tests.json", "tests.xml", "tests.txt"}
    tests = json.loads((out / "tests.json").read_text())["tests"]
    verdicts = {test["name"].rpartition("::")[2]: test["verdict"] for test in tests}
    assert verdicts == {
        "test_end_passes": "passed",
        "test_end_fails": "failure",
        "test_end_crashes": "error",
    }
    page = (out / "tests.md").read_text()
    assert page in done.stdout
    assert re.search("test_end_fails: AssertionError: as planted", page)
    assert re.search("test_end_passes: found 7", page)
    assert "numpy" in page.partition("## Machine")[2]
    assert "said" in (out / "tests.xml").read_text()


@pytest.mark.nightly
@pytest.mark.slow
def test_bits_ask_every_device_for_everything(tmp_path):
    asked = ("bits", "--collect-only", "-qq", "-n", "0")
    done = gpu(*asked, OUT=str(tmp_path), GPU_EMULATED="")
    chosen = {line for line in done.stdout.splitlines() if "::" in line}
    for device, recorded in (("cupy", 18), ("torch:cuda", 18), ("jax:gpu", 2)):
        of_it = [test for test in chosen if re.search(rf"[\[-]{device}\b", test)]
        for name, count in (
            ("test_float64_products_are_exact_or_refused", 2),
            ("test_compare_passes", 2),
            ("test_verify_finds_the_same_bits", 1),
            ("test_the_recorded_bits", recorded),
        ):
            assert sum(f"::{name}[" in test for test in of_it) == count, (device, name)


def test_no_results_are_a_failure(tmp_path):
    assert gpu_report.main(tmp_path / "bits.xml", "a machine") == 1
    assert "a machine" in (tmp_path / "bits.md").read_text()


@pytest.mark.slow
def test_inexact_products_and_their_refusal_are_reported(monkeypatch, cupy_backend):
    def rounded(a, b):
        a, b = (np.frexp(x.get()) for x in (a, b))
        a, b = (np.ldexp(np.round(m * 2.0**24) / 2.0**24, e) for m, e in (a, b))
        return cupy_backend.asarray(np.matmul(a, b))

    monkeypatch.setattr(gpu_bits, "EMULATED", True)
    assert gpu_bits.inexact_products("cupy") == ([], "")
    monkeypatch.setattr(cupy_backend.xp, "matmul", rounded)
    monkeypatch.setattr(compiling, "_trials", {})
    inexact, refused = gpu_bits.inexact_products("cupy")
    assert "not exact" in refused
    assert len(inexact) == 16, "of the wider slices: each shape, each operand in both orders"
    monkeypatch.setattr(gpu_bits, "require_exact_products", lambda *_: None)
    assert gpu_bits.inexact_products("cupy") == (inexact, "")
