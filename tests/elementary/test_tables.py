"""The tables hold exact powers of two, and roots of two to many bits, on every backend's device."""

import mpmath as mp
import numpy as np
import pytest

from pluggable_mlp.backends import Backend
from pluggable_mlp.elementary import tables
from pluggable_mlp.elementary.tables import power_of_two, roots_of_two


def test_powers_of_two_are_exact(backend: Backend) -> None:
    k = np.arange(-1022, 1024).reshape(2, -1)
    powers = backend.to_numpy(power_of_two(backend.xp, backend.asarray(k)))
    assert powers.tolist() == [[2.0**i for i in row] for row in k.tolist()]


def test_roots_of_two_have_26_bits_and_the_rest(backend: Backend) -> None:
    parts = roots_of_two(backend.xp, backend.asarray(np.arange(64)))
    high, low = (backend.to_numpy(part).tolist() for part in parts)
    with mp.workprec(200):
        for j in range(64):
            assert (high[j] * 2**25).is_integer()
            error = mp.mpf(high[j]) + mp.mpf(low[j]) - mp.mpf(2) ** (mp.mpf(j) / 64)
            assert abs(error) < mp.mpf(2) ** -78


def test_a_device_that_cannot_be_hashed_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Namespace:
        """NumPy, with lists for devices; CuPy's devices cannot be hashed either."""

        float64, take, reshape = np.float64, staticmethod(np.take), staticmethod(np.reshape)

        @staticmethod
        def asarray(entries: list[float], dtype: object, device: list[int]) -> np.ndarray:
            assert device == [3]
            return np.asarray(entries, dtype)

    monkeypatch.setattr(tables, "device_of", lambda _: [3])
    assert power_of_two(Namespace, np.array([-1, 4])).tolist() == [0.5, 16.0]
