"""How small a fault `compare` sees: networks on MNIST, NumPy against PyTorch, in both dtypes.

`python benchmarks/sharpness.py` prints a row per network: for each check the smallest relative
fault that is seen in every tensor, and in how many tensors none is: rounding could explain one as
large as most of their elements.  docs/explanation/compare.md quotes it.
"""

from typing import Any

import numpy as np

from pluggable_mlp import MLP, compare, get_backend, load_dataset

# Hidden layers, activation, normalization.
NETWORKS: dict[str, tuple[list[int], str, str | None]] = {
    "784-100-10 sigmoid": ([100], "sigmoid", None),
    "784-512-10 relu": ([512], "relu", None),
    "784-256-128-10 gelu": ([256, 128], "gelu", None),
    "784-64x4-10 silu": ([64] * 4, "silu", None),
    "784-100x3-10 relu": ([100] * 3, "relu", None),
    "784-32x8-10 relu": ([32] * 8, "relu", None),
    "784-100-100-10 relu, batch norm": ([100] * 2, "relu", "batch"),
    "784-64x4-10 relu, layer norm": ([64] * 4, "relu", "layer"),
    "784-100-10 tanh, standardised floats": ([100], "tanh", None),
}
DTYPES = ("float32", "float64")
COLUMNS = [(check, dtype) for check in ("layer by layer", "whole step") for dtype in DTYPES]


def cell(found: list[Any], check: str, dtype: str) -> str:
    """Return what a check sees in a dtype."""
    faults: dict[str, list[float]] = {}
    blind = set()
    for one in found:
        if (one.check, one.dtype) == (check, dtype):
            faults.setdefault(one.tensor, []).append(one.smallest_fault)
            blind |= {one.tensor} if one.blind_part >= 0.5 else set()
    seen = [min(smallest) for tensor, smallest in faults.items() if tensor not in blind]
    parts = [f"{max(seen):.0e}"] if seen else []
    parts += [f"blind to {len(blind)} of {len(faults)}"] if blind else []
    return "; ".join(parts)


def main() -> None:
    data = load_dataset("mnist")
    pixels, targets = data.train.inputs[:2560], data.train.targets[:2560]
    floats = {"inputs": (pixels - np.mean(pixels)) / np.std(pixels)}
    backends = [get_backend("numpy"), get_backend("torch")]
    print("| network |", " | ".join(", ".join(column) for column in COLUMNS), "|")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for name, (hidden, activation, norm) in NETWORKS.items():
        mlp = MLP([784, *hidden, 10], activation=activation, norm=norm)
        inputs = floats if "floats" in name else {"inputs": pixels, "scale": data.scale}
        found = [
            one
            for dtype in DTYPES
            for one in compare(backends, mlp, targets=targets, **inputs, dtype=dtype).agreements
        ]
        print(
            f"| {name} |", " | ".join(cell(found, *column) for column in COLUMNS), "|", flush=True
        )


if __name__ == "__main__":
    main()
