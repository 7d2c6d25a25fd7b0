"""Arrays that are cut over processes, here threads: what whole arrays give, or an error."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp import get_backend, reproducible, to_native
from pluggable_mlp.namespaces.sharded.array import Layout, ShardedArray, ShardingError, wholes_of
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace
from tests.distributed.threads import on_threads

BACKEND = get_backend("numpy")
FUNCTIONS = {
    "products": lambda xp, x, w, v: xp.matrix_transpose(x) @ (x * 2.0),
    "product with a row of weights": lambda xp, x, w, v: xp.expand_dims(v, axis=-2) @ x,
    "product with a whole": lambda xp, x, w, v: x @ w,
    "product with a whole vector": lambda xp, x, w, v: xp.mean(x @ w[:, 0], axis=-1),
    "wholes without a rule": lambda xp, x, w, v: x @ xp.flip(xp.sort(w, axis=0), axis=0),
    "norm of a whole": lambda xp, x, w, v: x * xp.linalg.vector_norm(w),
    "bounds by keyword": lambda xp, x, w, v: xp.clip(x, min=-0.5, max=xp.abs(w[0, 0])),
    "sum over the batch": lambda xp, x, w, v: xp.sum(x, axis=-2),
    "sum of all": lambda xp, x, w, v: xp.sum(x),
    "sum over both axes": lambda xp, x, w, v: xp.sum(x, axis=(0, 1), keepdims=True),
    "sum along features": lambda xp, x, w, v: xp.sum(x, axis=-1) * v,
    "mean over the batch": lambda xp, x, w, v: xp.mean(x, axis=0, keepdims=True) - x,
    "variance": lambda xp, x, w, v: xp.var(x, axis=-2),
    "maximum over the batch": lambda xp, x, w, v: xp.max(x, axis=-2) + xp.min(x),
    "any": lambda xp, x, w, v: xp.any(x > 1.0, axis=-2) | xp.all(x < 0.0),
    "argmax": lambda xp, x, w, v: xp.argmax(x, axis=-1),
    "new axes": lambda xp, x, w, v: x[:, None, :] * xp.expand_dims(v, axis=(-1))[..., None],
    "squeezed": lambda xp, x, w, v: xp.squeeze(xp.expand_dims(x, axis=0), axis=0) / 3.0,
    "features chosen": lambda xp, x, w, v: x[..., 0] + x[:, 1],
    "features cut": lambda xp, x, w, v: x[:, 1:] - 1.0,
    "a whole with all rows": lambda xp, x, w, v: (
        x + xp.astype(xp.expand_dims(xp.arange(x.shape[0]), axis=-1), x.dtype)
    ),
    "elementwise": lambda xp, x, w, v: xp.exp(-xp.abs(x)) + xp.maximum(x, 0.0) - xp.tanh(x),
    "flattened": lambda xp, x, w, v: xp.reshape(x, (-1,)) + 1.0,
    "an example as three rows": lambda xp, x, w, v: (
        xp.reshape(x, (-1, 1)) @ w[:1, :] + xp.astype(xp.arange(2), x.dtype)
    ),
    "sums over rows of examples": lambda xp, x, w, v: (
        xp.sum(xp.reshape(x, (-1, 1)), axis=-2)
        - xp.sum(xp.reshape(xp.reshape(x, (-1, 1)), (1, -1, 3)), axis=-2)
    ),
    "axes in another order": lambda xp, x, w, v: xp.permute_dims(x[..., None], (2, 1, 0)),
    "beside each other": lambda xp, x, w, v: xp.concat([x, xp.expand_dims(v, axis=-1)], axis=-1),
    "a whole beside": lambda xp, x, w, v: xp.concat(
        [x, xp.astype(xp.expand_dims(xp.arange(x.shape[0]), axis=-1), x.dtype)], axis=1
    ),
    "repeated": lambda xp, x, w, v: xp.broadcast_to(x[None, ...], (2, *x.shape)) * 2.0,
    "zeros like it": lambda xp, x, w, v: xp.zeros_like(x) + x,
}  # fmt: skip
REFUSED = {
    "sorted along the batch": (r"xp\.sort has no rule", lambda xp, x: xp.sort(x, axis=0)),
    "examples apart": ("would take examples apart", lambda xp, x: xp.reshape(x, (3, 6))),
    "more rows": (r"xp\.concat along the axis", lambda xp, x: xp.concat([x, x], axis=0)),
    "one row": ("a single row of an array that is cut", lambda xp, x: x[0, :]),
    "each row": ("a single row of an array that is cut", lambda xp, x: list(x)),
    "half of the rows": ("rows 1:3:1 are not whole units", lambda xp, x: x[1:3, :]),
    "rows by rows": ("cut along axes", lambda xp, x: x @ xp.matrix_transpose(x)),
    "cut differently": ("operands are cut diff", lambda xp, x: x + xp.matrix_transpose(x)),
    "a number of it": ("all .* of an array that is cut", lambda xp, x: float(x[:, 0])),
}


def cut(whole, communicator, inner, edges):
    """Return a process's part of a whole array (n, …)."""
    layout = Layout(edges, communicator.rank, communicator.size)
    rows = [row for start, stop in layout.ranges(layout.rank) for row in range(start, stop)]
    xp = ShardedNamespace(inner, communicator, BACKEND)
    return xp, ShardedArray(inner.asarray(whole[rows, ...]), xp, -whole.ndim, layout)


def data(rows):
    """Return x (rows, 3), w (3, 2) and v (rows,), float64."""
    rng = np.random.default_rng(rows)
    return tuple(rng.standard_normal(shape) for shape in ((rows, 3), (3, 2), (rows,)))


def results_of(function, rows, edges, *namespaces):
    """Return what three processes find in each namespace, gathered, as the library's arrays."""
    x, w, v = data(rows)

    def run(communicator):
        found = []
        for inner in namespaces:
            xp, own_x = cut(x, communicator, inner, edges)
            _, own_v = cut(v, communicator, inner, edges)
            own_x.namespace = own_v.namespace = xp
            found.append(wholes_of(xp.gathered(function(xp, own_x, xp.asarray(w), own_v))))
        return found

    return on_threads(3, run)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_cut_array_gives_what_a_whole_one_gives(name):
    """In one unit or in two of any lengths, some shorter than there are processes."""
    exact = reproducible(np)
    for rows, split in ((n, m) for n in (2, 4, 7) for m in range(1, n + 1)):
        edges = tuple(sorted({0, split, rows}))
        function, (x, w, v) = FUNCTIONS[name], data(rows)
        expected = function(np, x, w, v)
        bits = to_native(function(exact, *map(exact.asarray, (x, w, v)))).tobytes()
        for found, reproduced in results_of(function, rows, edges, np, exact):
            assert found.shape == expected.shape, edges
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=str(edges))
            assert to_native(reproduced).tobytes() == bits, edges


@pytest.mark.parametrize("ask", ["zeros_like", "result_type"])
def test_shapes_and_dtypes_need_no_exchange(ask):
    """Sums are exchanged together, once, when the first of them is used."""

    def run(communicator):
        xp, x = cut(data(6)[0], communicator, np, (0, 6))
        first = xp.sum(x, axis=0)
        getattr(xp, ask)(first)
        second = xp.sum(x * x, axis=0)
        before = communicator.exchanges
        found = wholes_of(first + second)
        return before, communicator.exchanges, found

    x, _, _ = data(6)
    for before, after, found in on_threads(2, run):
        assert (before, after) == (0, 1)
        np.testing.assert_allclose(found, (x + x * x).sum(axis=0), rtol=1e-12)


class Failing:
    """A communicator of two processes, whose exchanges fail."""

    rank, size = 0, 2

    def all_reduce(self, *_, **__):
        raise TimeoutError


def test_a_term_does_not_pass_for_the_sum_where_the_exchange_failed():
    xp, x = cut(data(6)[0], Failing(), np, (0, 6))
    first, second = xp.sum(x, axis=0), xp.sum(x * x, axis=0)
    with pytest.raises(TimeoutError):
        wholes_of(first)
    for total in (first, second):
        with pytest.raises(ShardingError, match="an exchange failed"):
            wholes_of(total)


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_rows_of_others_is_refused(name):
    x, _, _ = data(6)

    def run(communicator):
        xp, own = cut(x, communicator, np, (0, 6))
        with pytest.raises(ShardingError, match=REFUSED[name][0]):
            REFUSED[name][1](xp, own)

    on_threads(3, run)


@given(rows=st.integers(1, 40), unit=st.integers(1, 40), size=st.integers(1, 5))
def test_every_row_belongs_to_one_process_and_slices_keep_it(rows, unit, size):
    edges = (*range(0, rows, unit), rows)
    owners = {}
    for rank in range(size):
        layout = Layout(edges, rank, size)
        assigned = [row for start, stop in layout.ranges(rank) for row in range(start, stop)]
        for row in assigned:
            assert owners.setdefault(row, rank) == rank
        for start, stop in pairwise(edges):
            local, cut_layout = layout.cut(slice(start, stop))
            assert assigned[local] == [
                start + row for begin, end in cut_layout.ranges(rank) for row in range(begin, end)
            ]
    assert sorted(owners) == list(range(rows))
