"""What ci/gpu.sh asks of the array libraries on a GPU first: NumPy's bits, and exact products.

Tests of pytest; on the emulated card they take small sizes, and CuPy alone.
"""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.namespaces.reproducible.exactness import (
    LENGTH,
    WIDTHS,
    ArithmeticUnavailable,
    require_exact_products,
)

EMULATED = bool(os.environ.get("GPU_EMULATED"))
DEVICES = ("cupy",) if EMULATED else ("cupy", "torch:cuda", "jax:gpu")
SHAPES = ((64, 64), (3, 64, 64), (128, 128), (3, 128, 128), (512, 512), (1024, 1024), (4096, 4096))
EMULATION = {"CUBLAS_EMULATE_DOUBLE_PRECISION": "1", "CUBLAS_EMULATION_STRATEGY": "eager"}

on_each_device = pytest.mark.parametrize("device", DEVICES)


@on_each_device
@pytest.mark.parametrize("environment", [{}, EMULATION], ids=["default", "emulation"])
def test_float64_products_are_exact_or_refused(
    device: str, environment: dict[str, str], monkeypatch: Any, record_property: Any
) -> None:
    """In a process of its own: cuBLAS reads its environment once."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        inexact, refused = pool.submit(inexact_products, device).result()
    record_property("inexact", str(inexact))
    record_property("refused", refused)
    assert refused or not inexact


def inexact_products(device: str) -> tuple[list[Any], str]:
    """Return which products of slices are inexact on a device, and why it is refused ("": not)."""
    backend = get_backend(device)
    wrong = [
        (widths, shape, transposed)
        for widths in WIDTHS
        for shape in SHAPES[: 4 if EMULATED else None]
        for transposed in product((False, True), repeat=2)
        if not is_exact(backend, widths, shape, transposed)
    ]
    try:
        require_exact_products(backend.xp, backend.asarray([1.0]))
    except ArithmeticUnavailable as error:
        return wrong, str(error)
    return wrong, ""


def is_exact(backend: Backend, widths: Any, shape: Any, transposed: Any) -> bool:
    """Whether a product of this shape, of integers up to 2^widths whose sums reach 2^53, is exact.

    Either operand (…, n, 1024) may be stored as its transpose.
    """
    *stack, n, _ = shape
    rng = np.random.default_rng(widths)
    operands = [2**w - rng.integers(0, 2 ** (w + 1) + 1, (*stack, 64, LENGTH)) for w in widths]
    for operand, width in zip(operands, widths, strict=True):
        operand[..., :8, :] = 2**width
    exact = np.tile(operands[0] @ operands[1].mT, (n // 64, n // 64))  # in int64
    xp, arrays = backend.xp, []
    for operand, is_transposed in zip(operands, transposed, strict=True):
        host = np.tile(operand, (n // 64, 1)).astype(np.float64)
        array = backend.asarray(np.ascontiguousarray(host.mT) if is_transposed else host)
        arrays.append(xp.matrix_transpose(array) if is_transposed else array)
    found = xp.matmul(arrays[0], xp.matrix_transpose(arrays[1]))
    return bool(np.all(backend.to_numpy(found) == exact))


def command_line(*arguments: object, small: str = "") -> None:
    """Run `pluggable-mlp`, on the emulated card smaller; it must succeed in four minutes."""
    command = [sys.executable, "-m", "pluggable_mlp", *map(str, arguments)]
    subprocess.run([*command, *(small.split() if EMULATED else ())], check=True, timeout=240)


@on_each_device
@pytest.mark.parametrize("arithmetic", ["reproducible", "native"])
def test_compare_passes(device: str, arithmetic: str) -> None:
    """The native one would see products of TF32, too."""
    compare = ("compare", "--backends", f"numpy,{device}", "--arithmetic", arithmetic)
    command_line(*compare, small="--steps 1 --hidden 8 --batch-size 32")


@pytest.fixture(scope="session")
def run_on_numpy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on NumPy with a certificate."""
    run = tmp_path_factory.mktemp("certified") / "run"
    train = ("train", "--quiet", "--arithmetic", "reproducible", "--epochs", 3, "--output", run)
    command_line(*train, small="--hidden 8 --batch-size 1024")
    return run


@on_each_device
def test_verify_finds_the_same_bits(device: str, run_on_numpy: Path) -> None:
    """Of every epoch's losses and parameters."""
    command_line("verify", run_on_numpy / "certificate.json", "--backend", device)
