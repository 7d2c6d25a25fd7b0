"""Checks of the way from the host to a backend and back: nothing is lost, nothing converted."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp.arrays import Array, array_namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.backends.transfer import DTYPES
from pluggable_mlp.testing.checks import Grade, check, expect


def _expect_bits(backend: Backend, host: NDArray[np.generic], what: str) -> None:
    """Expect that an array comes back with its shape, its dtype and all of its bits."""
    array = backend.asarray(host)
    back = backend.to_numpy(array)
    expect(type(back) is np.ndarray, f"{what}: to_numpy returned a {type(back).__name__}")
    native = host.astype(host.dtype.newbyteorder("="))
    expect(
        (back.dtype, back.shape) == (native.dtype, native.shape),
        f"{what}: {back.dtype} of shape {back.shape} came back for {native.dtype}, {native.shape}",
    )
    if back.tobytes() != native.tobytes():
        differ = np.frombuffer(back.tobytes(), "u1") != np.frombuffer(native.tobytes(), "u1")
        first = int(np.argmax(differ)) // host.itemsize
        found, sent = back.reshape(-1)[first], native.reshape(-1)[first]
        expect(False, f"{what}: {sent!r} came back as {found!r}")


@check(Grade.RUNS)
def transfer_of_dtypes(backend: Backend) -> None:
    """Arrays of every dtype of the standard come back bit for bit, and are of its namespace."""
    for dtype in DTYPES:
        host = (np.arange(64) % 2).astype(dtype).reshape(8, 8)
        _expect_bits(backend, host, dtype)
        array = backend.asarray(host)
        found = array_namespace(array)
        expect(found is backend.xp, f"arrays have the namespace {found}, and xp is {backend.xp}")
        expect(array.dtype == getattr(backend.xp, dtype), f"an array of {dtype} has {array.dtype}")
    _expect_bits(backend, np.asarray([2**63 - 1, -(2**63), 2**32 + 1]), "integers of 64 bits")


@check(Grade.RUNS)
def transfer_of_zeros_and_infinities(backend: Backend) -> None:
    """Infinities, zeros of both signs and the largest numbers come back bit for bit."""
    for dtype in (np.float32, np.float64):
        most = np.finfo(dtype).max
        host = np.asarray([0.0, -0.0, np.inf, -np.inf, most, -most, 1 / 3], dtype)
        _expect_bits(backend, host, str(host.dtype))


@check(Grade.RUNS)
def transfer_of_denormal_numbers(backend: Backend) -> None:
    """Denormal numbers come back bit for bit: they are not flushed to zero."""
    for dtype in (np.float32, np.float64):
        tiny = np.finfo(dtype).tiny
        host = np.asarray([tiny, tiny / 2, -tiny / 4, np.finfo(dtype).smallest_subnormal], dtype)
        _expect_bits(backend, host, str(host.dtype))


@check(Grade.RUNS)
def transfer_of_nan(backend: Backend) -> None:
    """NaN comes back, of any sign and payload."""
    words = {np.float32: [0x7FC00000, 0xFFC00001], np.float64: [0x7FF8 << 48, (0xFFF8 << 48) + 7]}
    for dtype, bits in words.items():
        host = np.asarray(bits, f"u{np.dtype(dtype).itemsize}").view(dtype)
        _expect_bits(backend, host, str(host.dtype))


@check(Grade.RUNS)
def transfer_of_layouts(backend: Backend) -> None:
    """Host data may have any strides, sizes and byte order, and be read-only."""
    x = np.arange(12.0).reshape(3, 4)
    read_only = np.arange(3.0)
    read_only.flags.writeable = False
    for what, host in {
        "negative strides": x[::-1, ::-1],
        "a transposed array": x.T,
        "every second row": x[::2, 1:],
        "an empty array": x[:0],
        "an array without axes": x[1:2, 2:3].reshape(()),
        "an array in big-endian order": x.astype(">f8"),
        "a read-only array": read_only,
    }.items():
        _expect_bits(backend, host, what)


@check(Grade.RUNS)
def transfer_of_lists(backend: Backend) -> None:
    """Numbers and nested lists get the dtype that NumPy gives them, or the one asked for."""
    cases: tuple[object, ...] = ([[1, 2], [3, 4]], [1.5, 2], (True, False), 3, 2.5, [[]])
    for data in cases:
        found, expected = backend.to_numpy(backend.asarray(data)), np.asarray(data)
        expect(
            found.dtype == expected.dtype and found.tolist() == expected.tolist(),
            f"{data!r} became {found!r}, expected {expected!r}",
        )
    found = backend.to_numpy(backend.asarray([1, 2], dtype="float32"))
    expect(found.dtype == np.float32, f"asarray(…, dtype='float32') made {found.dtype}")


@check(Grade.RUNS)
def own_arrays_without_copies(backend: Backend) -> None:
    """`asarray` returns its own arrays without a copy."""
    array = backend.asarray([1.0, 2.0], dtype="float32")
    for again in (backend.asarray(array), backend.asarray(array, dtype="float32")):
        shared = again is array or (
            isinstance(array, np.ndarray) and np.shares_memory(again, array)
        )
        expect(shared, "asarray of an array of its own returned a copy")


@check(Grade.RUNS)
def copies_are_independent(backend: Backend) -> None:
    """Where the standard promises a copy, a change of it does not change the array."""
    xp = backend.xp
    copies: dict[str, Callable[[Array], Array]] = {
        "astype(x, x.dtype)": lambda x: xp.astype(x, x.dtype),
        "asarray(x, copy=True)": lambda x: xp.asarray(x, copy=True),
    }
    for name, make in copies.items():
        x = xp.zeros_like(backend.asarray([1.0, 2.0]))
        copy = make(x)
        copy += 1.0
        found = backend.to_numpy(x).tolist()
        expect(found == [0.0, 0.0], f"{name} returned a view: x changed with it, to {found}")
