"""Data sets as NumPy arrays on the host: readers, the embedded digits, published data by name."""

from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError, DataWarning
from pluggable_mlp.data.load import load_dataset
from pluggable_mlp.data.values import Split

__all__ = ["DataError", "DataWarning", "Dataset", "Split", "load_dataset"]
