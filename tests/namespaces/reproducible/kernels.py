"""Products and sums of a library's own arrays, as the namespace takes them."""

from pluggable_mlp.executor import one_by_one
from pluggable_mlp.namespaces import to_native
from pluggable_mlp.namespaces.reproducible import ReproducibleNamespace, products, sums
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint


def matmul(xp, a, b, run_all=one_by_one):
    return _computed(ReproducibleNamespace(xp, run_all), products.matmul, a, b)


def affine(xp, x, W, b, run_all=one_by_one):
    return _computed(ReproducibleNamespace(xp, run_all), products.affine, x, W, b)


def sum(xp, x, axis=None, keepdims=False):
    return _computed(ReproducibleNamespace(xp), sums.sum, x, axis=axis, keepdims=keepdims)


def mean(xp, x, axis=None, keepdims=False):
    return _computed(ReproducibleNamespace(xp), sums.mean, x, axis=axis, keepdims=keepdims)


def _computed(ns, function, *operands, **settings):
    """Return the function of arrays that are flushed where they enter, and with one NaN."""
    entered = (x if isinstance(x, FixedPoint) else ns.asarray(x).native for x in operands)
    return to_native(ns.wrap(function(ns, *entered, **settings)))
