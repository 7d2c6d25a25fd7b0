"""Sparse rows as a network's inputs: what the first layer does with them, without densifying them.

A namespace over NumPy's in which `matmul` and `take` know SciPy's sparse arrays.  Rows are
(examples, features) of SciPy's CSR; whatever else a layer computes is dense already.
"""

from typing import Any

from pluggable_mlp.arrays import Array, Namespace

__all__ = ["SparseNamespace", "SparseRows"]


class SparseRows:
    """A sparse matrix (rows, features) as far as a dense layer and a batch look at it.

    Parameters
    ----------
    matrix : scipy.sparse array
        CSR, or the CSC of its transpose.
    """

    ndim = 2

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.shape, self.dtype = matrix.shape, matrix.dtype

    @property
    def mT(self) -> "SparseRows":
        """The transpose, which shares the memory."""
        return SparseRows(self.matrix.T)

    def astype(self, dtype: Any) -> "SparseRows":
        """Return the same rows in a dtype."""
        return SparseRows(self.matrix.astype(dtype, copy=False))

    def __getitem__(self, key: tuple[Any, ...]) -> "SparseRows":
        """Return rows: the key is (slice, ...)."""
        return SparseRows(self.matrix[key[0]])

    def __mul__(self, other: Array) -> Array:
        """Return the dense product with what broadcasts: of a single column, or a batch of one."""
        return self.matrix.toarray() * other


class SparseNamespace:
    """NumPy's namespace, whose products and gathers also take `SparseRows`.

    Parameters
    ----------
    xp
        NumPy's namespace.
    """

    def __init__(self, xp: Namespace) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    def matmul(self, a: Any, b: Any) -> Array:
        """Return a b, dense, where either may be sparse."""
        if isinstance(a, SparseRows):
            return a.matrix @ b
        if isinstance(b, SparseRows):
            return a @ b.matrix
        return self._xp.matmul(a, b)

    def take(self, x: Any, indices: Array, *, axis: int) -> Any:
        """Return the rows at the indices."""
        if isinstance(x, SparseRows):
            return SparseRows(x.matrix[indices])
        return self._xp.take(x, indices, axis=axis)
