"""A number whose value is on the device behaves as the Python float that it stands for."""

import numpy as np
import pytest

from pluggable_mlp import reproducible, to_native

pytestmark = pytest.mark.quick_on("jax:cpu")

VALUES = (0.1, -1.0 / 3.0, 1e-3, 0.0, 2.0**-130, 2.0**-120, 1e30)
FORMULAS = {
    "times": lambda x, c: c * x,
    "times, reflected": lambda x, c: x * c,
    "plus": lambda x, c: x + c,
    "minus": lambda x, c: x - c,
    "minus, reflected": lambda x, c: c - x,
    "rounded once": lambda x, c: (-c * 0.2 + 1.0) * x,
    "numbers alone": lambda x, c: x * ((1.0 - c) * (c - 0.3) + (2 + c)),
    "compared": lambda x, c: x.namespace.where(x > c, x, c),
    "clipped": lambda x, c: x.namespace.maximum(x, c),
    "sums of small ones": lambda x, c: (x * 2.0**-100 + c) - (x * 2.0**-100 + c * 0.5),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_it_gives_the_bits_of_the_float(backend, name, dtype):
    formula = FORMULAS[name]
    xp = reproducible(backend.xp)
    host = np.random.default_rng(0).normal(size=50).astype(dtype)
    for value in VALUES:
        x = xp.asarray(backend.asarray(host))
        number = xp.as_numbers(backend.asarray(value, dtype="float64"))
        with np.errstate(over="ignore"):
            bits = [backend.to_numpy(to_native(formula(x, c))).tobytes() for c in (value, number)]
        assert bits[0] == bits[1], value


def test_there_is_no_rule_to_divide_by_it(backend):
    xp = reproducible(backend.xp)
    number = xp.as_numbers(backend.asarray(0.5, dtype="float64"))
    with pytest.raises(TypeError, match="reciprocal"):
        xp.asarray(backend.asarray([1.0])) / number
