"""What scikit-learn's harness of array libraries takes for a GPU, and is none."""

import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.backends import BackendUnavailable

__all__ = ["skip_without_gpu"]


def skip_without_gpu(namespace, device):
    """Skip what needs a GPU that is not there.

    The harness takes a CuPy that can be imported, and a PyTorch that was built for CUDA, for ones
    that find a GPU.
    """
    needed = {"cupy": "cupy", "torch": "torch:cuda"}.get(namespace)
    if needed and (namespace == "cupy" or device == "cuda"):
        try:
            get_backend(needed)
        except BackendUnavailable as why:
            pytest.skip(str(why))
