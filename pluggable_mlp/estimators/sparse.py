"""Sparse rows as a network's inputs: the first layer's products, without densifying.

`SparseNamespace` has a `matmul` and a `take` for SciPy's sparse arrays.  Rows (examples, features)
are in CSR format; everything else that a layer computes is dense.  If a library other than NumPy
trains, the rows of a batch are made dense and moved when a product needs them.
"""

from functools import cached_property
from types import EllipsisType
from typing import Any

from scipy.sparse import csr_array

from pluggable_mlp.arrays import Array, DType, Namespace, transpose
from pluggable_mlp.backends import Backend


class SparseRows:
    """A sparse matrix (rows, features) with the operations that a dense layer and a batch need.

    Parameters
    ----------
    matrix : scipy.sparse array
        CSR, or the CSC of its transpose.
    place : Backend or None
        Where products are computed, if not in SciPy.
    """

    ndim = 2

    def __init__(self, matrix: csr_array, place: Backend | None = None) -> None:
        self.matrix, self.place = matrix, place
        self.shape, self.dtype = matrix.shape, matrix.dtype

    @cached_property
    def dense(self) -> Array:
        """The dense array, on the place."""
        array = self.matrix.toarray()
        return array if self.place is None else self.place.asarray(array)

    @property
    def mT(self) -> Array:
        """The transpose, which shares the memory."""
        return SparseRows(self.matrix.T) if self.place is None else transpose(self.dense)

    def astype(self, dtype: DType) -> "SparseRows":
        """Return the same rows in a dtype."""
        return SparseRows(self.matrix.astype(dtype, copy=False), self.place)

    def __getitem__(self, key: tuple[slice, EllipsisType]) -> "SparseRows":
        """Return rows: the key is (slice, ...)."""
        return SparseRows(self.matrix[key[0]], self.place)

    def taken(self, indices: Array) -> "SparseRows":
        """Return the rows at the indices, an array of the place."""
        places = indices if self.place is None else self.place.to_numpy(indices)
        return SparseRows(self.matrix[places], self.place)

    def __mul__(self, other: Array) -> Array:
        """Return the dense product with an array that broadcasts: one column or a batch of one."""
        return self.dense * other


class SparseNamespace:
    """A namespace whose products and gathers also take `SparseRows`.

    Parameters
    ----------
    xp
        The namespace of a library.
    """

    def __init__(self, xp: Namespace) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return a b, dense; either may be sparse, and the other a stack of matrices."""
        if isinstance(a, SparseRows):
            is_sparse = a.place is None and b.ndim == 2
            return a.matrix @ b if is_sparse else self._xp.matmul(a.dense, b)
        if isinstance(b, SparseRows):
            return a @ b.matrix if a.ndim == 2 else self._xp.matmul(a, b.dense)
        return self._xp.matmul(a, b)

    def take(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return the rows at the indices."""
        if isinstance(x, SparseRows):
            return x.taken(indices)
        return self._xp.take(x, indices, axis=axis)
