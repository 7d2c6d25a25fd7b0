"""What an array of parameters or buffers is, by its name in its layer."""

_MATRICES = ("W", "r", "s", "member_b", "embedding_w", "embedding_b", "embedding_c", "category_E")
_BINS = ("left", "inverse_width", "low", "high")
_CORE_AXES = {"member_W": 3, "embedding_V": 3, **dict.fromkeys(_MATRICES + _BINS, 2)}
"""Other arrays are vectors: biases, gains, shifts."""


def core_axes(name: str) -> int:
    """Return how many of an array's last axes belong to one network, by the name of the array."""
    return _CORE_AXES.get(name, 1)


def is_weight(name: str) -> bool:
    """Return whether an array consists of matrices of weights, which decay."""
    return name in ("W", "member_W", "embedding_V")
