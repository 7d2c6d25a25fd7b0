"""The emulated card of ci/cupy_on_cpu is as strict as a card; its build says what is missing."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.emulated_card import counting


@pytest.fixture
def cupy(cupy_backend):
    """CuPy on the emulated card, not on a real one."""
    pytest.importorskip("cuda_on_cpu")
    import cupy

    return cupy


def on_card(program, **environment):
    """Run a program on a card of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import cupy\n{program}"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_new_memory_is_not_a_number(cupy):
    memory = cupy.cuda.MemoryPointer(cupy.cuda.Memory(4000), 0)  # no block that CuPy kept
    assert cupy.isnan(cupy.ndarray(1000, dtype="float32", memptr=memory)).all()


@pytest.mark.parametrize(("options", "is_contracted"), [((), True), (("--fmad=false",), False)])
def test_products_are_contracted_unless_that_is_forbidden(cupy, options, is_contracted):
    source = 'extern "C" __global__ void f(double* x) { x[3] = x[0] * x[1] + x[2]; }'
    x = cupy.asarray([1.0 + 2.0**-30, 1.0 + 2.0**-30, -1.0, 0.0])
    cupy.RawKernel(source, "f", options)((1,), (1,), (x,))
    rounded = (1.0 + 2.0**-30) * (1.0 + 2.0**-30) - 1.0
    assert (float(x[3]) != rounded) == is_contracted


def test_denormal_numbers_of_float32_are_flushed(cupy):
    x = cupy.asarray(np.float32([1e-40]))
    assert float((x * cupy.float32(1.0))[0]) == 0.0
    assert float(x[0]) > 0.0


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "log2", "tanh", "sin", "cos"])
def test_functions_are_sometimes_a_unit_off(cupy, name):
    """CUDA's are not the C library's either."""
    x = np.random.default_rng(0).uniform(0.1, 3.0, 1000)
    expected = np.array([getattr(math, name)(float(value)) for value in x])
    found = cupy.asnumpy(getattr(cupy, name)(cupy.asarray(x)))
    units = found.view(np.int64) - expected.view(np.int64)
    assert set(units) == {0, 1}
    assert 50 < units.sum() < 250
    assert float(cupy.exp(cupy.zeros(1))[0]) == 1.0


def test_nvrtc_refuses_what_is_no_cuda(cupy):
    source = 'extern "C" __global__ void f() { std::vector<int> x; }'
    with pytest.raises(cupy.cuda.compiler.CompileException, match="std"):
        cupy.RawKernel(source, "f").compile()


def test_a_capture_refuses_a_wait(cupy):
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="StreamCapture"):
            stream.synchronize()
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="CaptureInvalidated"):
            stream.end_capture()


def test_a_kernel_does_not_reach_the_other_device(cupy):
    """In a process of its own: a copy between devices, once made, lets CuPy reach it."""
    said = on_card("x = cupy.ones(3)\nwith cupy.cuda.Device(1): x + x")
    assert "different from the current device" in said


def test_memory_ends(cupy):
    said = on_card("cupy.empty(2_000_000, dtype='uint8')", CUDA_ON_CPU_MEMORY="1000000")
    assert "OutOfMemoryError" in said


def test_there_may_be_no_card(cupy):
    assert on_card("print(cupy.is_available())", CUDA_VISIBLE_DEVICES="") == "False\n"


def test_launches_and_waits_are_counted(cupy, cupy_backend):
    x = cupy.ones(10)
    x + x
    with counting() as counts:
        y = x + x
    assert counts["kernel cupy_add__float64_float64_float64"] == counts.launches == 1
    assert counts.waits == 0
    with counting() as counts:
        cupy_backend.to_numpy(y)
    assert counts.waits == counts.lines.total() == 1
    assert all(line.startswith("cupy.py:") for line in counts.lines)
