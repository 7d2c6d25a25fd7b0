"""Sums in the order of a binary tree, on CuPy in one launch: each thread takes a sum of its own.

The order is that of `reproducible/sums.py`: the second half is added to the first, again and again,
and what is left over where a length is odd is added at the end.  A thread goes through the tree
depth first, so that it keeps one partial sum for each level.
"""

import math
from functools import partial

import array_api_compat.cupy
import cupy
import numpy as np

from pluggable_mlp.arrays import Array, Namespace

from .cupy_kernels import elementwise_kernel
from .cupy_launches import have_same_bits, works
from .numpy_tracing import Tracer
from .tape import Function

# A thread takes longer for more than the launches do that add halves, each by many threads.  Where
# there are many sums, there are many threads anyway.
_LONGEST_OF_FEW = 128
_LONGEST = 512
_MANY = 128

# y_l[k] is the sum at place k after l halvings: of 2^l elements, whose places differ by count >> 1,
# …, count >> l.  Bit j of c says whether count >> (j + 1) is added; s[t] waits for its right half.
_BODY = """
const int64 first = i / inner * count * inner + i % inner;
float64 odd = 0.0;
for (int64 m = count, level = 0; m > 0; m >>= 1, ++level) {
  if (!(m & 1)) continue;
  float64 s[16];
  for (int64 c = 0; c < (int64(1) << level); ++c) {
    int64 k = m - 1;
    for (int64 j = 0; j < level; ++j) k += (c >> j & 1) * (count >> (j + 1));
    float64 sum = x[first + k * inner];
    int64 t = 0;
    for (; c >> t & 1; ++t) sum = s[t] + sum;
    s[t] = sum;
  }
  odd = s[level] + odd;
}
y[i] = odd;
"""
_KERNEL = elementwise_kernel(
    "raw T x, int64 count, int64 inner", "raw float64 y", _BODY, "tree_sum"
)


def short_sum(x: Array, axis: int) -> Array:
    """Return the sum of x (…, n, …) along the axis in float64, kept with length 1.

    Of an array of NumPy, which stands for one of CuPy on a tape, only the shape and the dtype.
    """
    if isinstance(x, Tracer):
        return x.tape.record(short_sum, x, axis)
    if isinstance(x, np.ndarray):
        return np.add.reduce(x, axis=axis, dtype=np.float64, keepdims=True)
    axis %= x.ndim
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    y, inner = cupy.empty(shape, dtype="float64"), math.prod(shape[axis:])
    if y.size:
        _KERNEL(x, x.shape[axis], inner, y, size=y.size)
    return y


def tree_sum(xp: Namespace, halved: Function, x: Array, axis: int) -> Array:
    """Return halved(xp, x, axis), in one launch where that is quicker and gives the same bits."""
    n = x.shape[axis]
    is_quicker = n <= _LONGEST_OF_FEW or (n <= _LONGEST and math.prod(x.shape) >= n * _MANY)
    if is_quicker and works("tree_sum", partial(_gives_the_same, halved)):
        return short_sum(x, axis)
    return halved(xp, x, axis)


def _gives_the_same(halved: Function) -> bool:
    """Return whether one launch gives the bits of the halvings."""
    rng = np.random.default_rng(0)
    host = rng.normal(size=(5, 512, 3)) * 2.0 ** rng.integers(-60, 60, (5, 512, 3))
    x = cupy.asarray(host.astype(np.float32))
    return all(
        have_same_bits(short_sum(part, axis), halved(array_api_compat.cupy, part, axis))
        for n in (*range(1, 34), 63, 100, 127, 128, 500, 511, 512)
        for part, axis in ((x[:, :n, :], 1), (x[0, :n, :], -2), (x[0, :n, 0], 0))
    )
