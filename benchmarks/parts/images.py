"""Which images a part can use here."""

import os

from benchmarks.measure import say
from pluggable_mlp.data.arrays import IDX_NAMES, find_idx
from pluggable_mlp.data.mnist import ENVIRONMENT, cache_folder

__all__ = ["images"]

_NAME = "fashion-mnist"


def images() -> str:
    """Return "fashion-mnist" where its files are, else "random", and say so; download nothing."""
    places = [*os.environ.get(ENVIRONMENT, "").split(os.pathsep), cache_folder()]
    for folder in (os.path.join(place, _NAME) for place in places if place):
        if all(find_idx(folder, file_name) for file_name in IDX_NAMES.values()):
            return _NAME
    say(f"Fashion-MNIST is not at hand: no folder {_NAME} in any of {ENVIRONMENT}; done without")
    return "random"
