"""The same bits of a fit to adult on NumPy, PyTorch and JAX, and their price in time.

    PLUGGABLE_MLP_DATA=FOLDER python benchmarks/table_bits.py --epochs 3

FOLDER/tables has adult-train.csv.gz.  Of each library: the SHA-256 of the parameters after a fit
with the default recipe, native and reproducible, and the seconds of a fit.  The exit status is 1
where the reproducible ones differ.
"""

import argparse
import hashlib
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package

import numpy as np
import pandas as pd

from benchmarks.data_folder import table_file
from pluggable_mlp import TableClassifier
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.namespaces import ARITHMETICS

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def fitted(table: Any, **settings: Any) -> str:
    """Return the SHA-256 of the parameters after a fit, in the order of the layers."""
    model = TableClassifier(random_state=0, **settings).fit(*table)
    digest = hashlib.sha256()
    for layer in map_nested(on_host, model.parameters_):
        for array in layer.values():
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def main() -> int:
    """Fit on each library in both arithmetics, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backends", nargs="+", default=["numpy", "torch", "jax:cpu"])
    parser.add_argument("--recipe", default="realmlp-td-s")
    parser.add_argument("--rows", type=int, help="of the table; by default all")
    parser.add_argument("--epochs", type=int, default=3)
    words = "cpu: the time of the process, on a busy machine, with one thread"
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=words)
    options = parser.parse_args()
    now = CLOCKS[options.clock]
    data = pd.read_csv(table_file("adult-train")).iloc[: options.rows]
    table = data.drop(columns="income"), data["income"]
    digests = set()
    for backend in options.backends:
        for arithmetic in ARITHMETICS:
            begin = now()
            settings = {"backend": backend, "max_iter": options.epochs, "recipe": options.recipe}
            digest = fitted(table, arithmetic=arithmetic, **settings)
            print(f"{backend}, {arithmetic}: {now() - begin:.2f} s, {digest}", flush=True)
            if arithmetic == "reproducible":
                digests.add(digest)
    print("the same bits" if len(digests) == 1 else "the bits differ")
    return int(len(digests) != 1)


if __name__ == "__main__":
    sys.exit(main())
