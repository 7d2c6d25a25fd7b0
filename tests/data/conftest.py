"""What the tests of all readers need: a scratch folder, the rules, and a measure of memory."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluggable_mlp.data import Dataset, load_dataset


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for hypothesis, which runs one test many times in it."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="session")
def check_rules() -> Callable[[Dataset], None]:
    """The promises of a Dataset, stated here once more and independently of its own checks."""

    def check(dataset: Dataset) -> None:
        assert {"train", "test"} <= set(dataset.splits)
        for inputs, targets in dataset.splits.values():
            assert inputs.ndim == 2
            assert inputs.shape[0] == targets.shape[0] > 0
            assert inputs.shape[1] == dataset.features > 0
            assert inputs.flags.c_contiguous
            assert inputs.flags.writeable
            if dataset.class_labels is None:
                assert targets.shape[1:] in ((), (dataset.outputs,))
                assert targets.dtype in (np.int64, np.float32, np.float64)
                assert np.isfinite(targets).all()
            else:
                assert targets.ndim == 1
                assert targets.dtype == np.int64
                assert set(targets.tolist()) <= set(range(dataset.outputs))
                assert dataset.outputs == len(dataset.class_labels) >= 2
            if dataset.scale is None:
                assert inputs.dtype in (np.float32, np.float64)
                assert np.isfinite(inputs).all()
            else:
                assert inputs.dtype == np.uint8

    return check


@pytest.fixture
def peak_memory() -> Iterator[Callable[[Callable[[], Any]], int]]:
    """A function that runs another one and returns the most bytes that it had allocated."""
    tracemalloc.start()

    def measure(run: Callable[[], Any]) -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        run()
        return tracemalloc.get_traced_memory()[1] - before

    yield measure
    tracemalloc.stop()


@pytest.fixture(scope="session")
def read(scratch: Path) -> Callable[..., Dataset]:
    """Read a table from its bytes, all of it for training, nothing scaled."""

    def read_bytes(data: bytes | str, name: str = "table.csv", **options: Any) -> Dataset:
        path = scratch / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return load_dataset(path, **{"test_share": 0.0, "scaling": "none"} | options)

    return read_bytes


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the published data, named by PLUGGABLE_MLP_DATA."""
    place = os.environ.get("PLUGGABLE_MLP_DATA")
    if not place:
        pytest.skip("PLUGGABLE_MLP_DATA is not set: the published data are not here")
    return Path(place)
