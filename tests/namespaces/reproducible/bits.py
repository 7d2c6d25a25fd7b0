"""What the tests of products and sums share: equality of bits."""


def same_bits(a, b):
    """Return whether two NumPy arrays have the same dtype, shape and bytes."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
