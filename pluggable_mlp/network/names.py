"""What an array of parameters or buffers is, by its name in its layer."""

_CORE_AXES = {
    "W": 2,
    **dict.fromkeys(("r", "s", "member_b"), 2),
    "member_W": 3,
    **dict.fromkeys(("embedding_w", "embedding_b", "embedding_c"), 2),
    "embedding_V": 3,
    "category_E": 2,
    **dict.fromkeys(("left", "inverse_width", "low", "high"), 2),
}
"""Other arrays are vectors: biases, gains, shifts."""


def core_axes(name: str) -> int:
    """Return how many of an array's last axes belong to one network, by the name of the array."""
    return _CORE_AXES.get(name, 1)


def is_weight(name: str) -> bool:
    """Return whether an array consists of matrices of weights, which decay."""
    return name in ("W", "member_W", "embedding_V")
