"""Backends with one fault each, by the check that has to find it."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import array_api_strict
import numpy as np

from pluggable_mlp.backends.array_api_strict import ArrayApiStrictBackend
from pluggable_mlp.backends.numpy import NumpyBackend


class Wrapped(np.ndarray):
    """NumPy's arrays, of which a subclass spoils an operation."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        if "out" in settings:
            settings["out"] = tuple(map(plain, settings["out"]))
        return self.operate(ufunc, method, inputs, settings)

    def operate(self, ufunc: Any, method: str, inputs: Any, settings: Any) -> Any:
        result = getattr(ufunc, method)(*map(plain, inputs), **settings)
        return np.asarray(result).view(type(self))


def plain(array: Any) -> Any:
    return array.view(np.ndarray) if isinstance(array, Wrapped) else array


class Widening(Wrapped):
    """Products of float32 and numbers of Python are float64."""

    def operate(self, ufunc: Any, method: str, inputs: Any, settings: Any) -> Any:
        if ufunc is np.multiply and any(isinstance(each, float) for each in inputs):
            inputs = [np.float64(each) if isinstance(each, float) else each for each in inputs]
        return super().operate(ufunc, method, inputs, settings)


class LosingNan(Wrapped):
    """The maximum of NaN and a number is the number."""

    def operate(self, ufunc: Any, method: str, inputs: Any, settings: Any) -> Any:
        return super().operate({np.maximum: np.fmax}.get(ufunc, ufunc), method, inputs, settings)


class Contracting(Wrapped):
    """A sum with a product is rounded once: computed in float64 from the factors of float32."""

    factors: Any = None

    def operate(self, ufunc: Any, method: str, inputs: Any, settings: Any) -> Any:
        factors = getattr(inputs[0], "factors", None)
        if ufunc is np.add and factors is not None and plain(inputs[0]).dtype == np.float32:
            a, b = (plain(each).astype(np.float64) for each in factors)
            return (a * b + plain(inputs[1])).astype(np.float32).view(type(self))
        result = super().operate(ufunc, method, inputs, settings)
        if ufunc is np.multiply:
            result.factors = inputs
        return result


class Aliasing(Wrapped):
    """`astype` to the dtype that an array has returns the array."""

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        return self if dtype == self.dtype else super().astype(dtype)


def backend_of(arrays: type[Wrapped]) -> NumpyBackend:
    class Backend(NumpyBackend):
        def _upload(self, host: Any) -> Any:
            return host.view(arrays)

    return Backend()


class Copying(NumpyBackend):
    """It copies its own arrays."""

    def asarray(self, data: Any, dtype: str | None = None) -> Any:
        return np.array(super().asarray(data, dtype))


class Trusting(NumpyBackend):
    """It takes any dtype of its own arrays."""

    def asarray(self, data: Any, dtype: str | None = None) -> Any:
        if isinstance(data, np.ndarray) and dtype is not None:
            return data.astype(getattr(np, dtype), copy=False)
        return super().asarray(data, dtype)


class Flushing(NumpyBackend):
    """It sends denormal numbers as zeros."""

    def _upload(self, host: Any) -> Any:
        if host.dtype.kind != "f":
            return host
        return np.where(np.abs(host) < np.finfo(host.dtype).tiny, host.dtype.type(0), host)


class Leaking(NumpyBackend):
    """Making one changes the default dtype of the library."""

    xp = SimpleNamespace(**vars(np))

    def __init__(self, device: str | None = None) -> None:
        super().__init__(device)
        is_wide = self.xp.zeros(1).dtype == np.float64
        self.xp.zeros = partial(np.zeros, dtype="float32" if is_wide else "float64")


class Misplacing(ArrayApiStrictBackend):
    """Its arrays are on the CPU, whatever device it has."""

    def _upload(self, host: Any) -> Any:
        return array_api_strict.asarray(host)

    def _require_own(self, array: Any, argument: str) -> None: ...


class Overwriting(NumpyBackend):
    """It combines calls to one that does nothing but overwrite the carry."""

    def compile(self, *_: Any, **__: Any) -> Any:
        def loop(carry: Any, *_: Any) -> Any:
            carry[0].fill(0.0)
            return carry, dict.fromkeys(("sum", "index"), carry[0])

        return loop


class Repeating(NumpyBackend):
    """It repeats the results of a function, not its operations."""

    def compile(self, function: Any, used_up: Any = (), *, most: int = 1, **_: Any) -> Any:
        results: list[Any] = []

        def repeated(*arguments: Any) -> Any:
            results.append(results[0] if results else function(*arguments))
            return results[0]

        return repeated if most == 1 and not used_up else None


FAULTY = {
    "dtype_promotion": backend_of(Widening),
    "own_arrays_without_copies": Copying(),
    "data_of_others": Trusting(),
    "contracted_products": backend_of(Contracting),
    "transfer_of_denormal_numbers": Flushing(),
    "context": Leaking(),
    "other_devices": Misplacing("device1"),
    "not_a_number": backend_of(LosingNan),
    "copies_are_independent": backend_of(Aliasing),
    "compiled_loops": Overwriting(),
    "traced_steps": Repeating(),
}
