"""`pluggable-mlp compare`: placeholder until consistency lands."""


def compare() -> None:
    """Compare."""
