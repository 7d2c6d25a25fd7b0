"""`--backend cupy`, of two devices: what is listed.

That runs have the bits of NumPy: test_verify.py, test_resume.py.
"""

import pytest

pytestmark = pytest.mark.usefixtures("cupy_backend")


def test_its_devices_are_listed_and_others_not_available(command):
    listed = command("backends").out
    assert any(line.split() == ["cupy", "yes", "14.2.0", "cuda:0,", "cuda:1"]
               for line in listed.splitlines())  # fmt: skip
    outcome = command("train", "--backend", "cupy:2")
    assert outcome.code == 3
    assert "there is no CUDA device 2: this machine has 2; choose one of cuda:0, " in outcome.err
