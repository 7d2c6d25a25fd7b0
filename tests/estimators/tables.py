"""A table of numbers, texts, booleans and codes, and what is to be predicted of its rows."""

import numpy as np
import pytest

pl = pytest.importorskip("polars")
QUICK = {"max_iter": 8, "random_state": 0, "n_members": 1}
N = 60
RNG = np.random.default_rng(0)
COLUMNS = {
    "age": [None if i % 13 == 5 else float(v) for i, v in enumerate(RNG.normal(40, 9, N))],
    "city": [None if i % 17 == 4 else ["Rome", "Oslo", "Bern"][i % 3] for i in range(N)],
    "member": [i % 4 == 0 for i in range(N)],
    "code": [7 * (i % 5) for i in range(N)],
}
LABELS = ["yes" if i % 3 == 0 else "no" for i in range(N)]
PRICES = [100.0 * (i % 3) + 5.0 * (i % 4 == 0) for i in range(N)]


def frame(**columns):
    return pl.DataFrame({"x": np.linspace(0, 1, N), **columns})
