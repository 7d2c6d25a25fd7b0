"""From raw arrays to a data set, and which examples are for testing."""

import hashlib
from contextlib import nullcontext

import numpy as np
import pytest

from pluggable_mlp.data import DataError, DataWarning, Split
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.split import choose_examples
from pluggable_mlp.options import DataOptions

LABELS = np.array([0, 1, 1])


def source(train, **others):
    """What a reader gives, from pairs of inputs and targets."""
    pairs = {"train": train, **others}
    return {part: Split(*pair) for part, pair in pairs.items()}


def build(inputs, labels=LABELS):
    return build_dataset(source((inputs, labels), test=(inputs, labels)), DataOptions("example"))


@pytest.mark.parametrize(
    ("given_dtype", "kept_dtype", "scale"),
    [
        ("uint8", "uint8", 1 / 256),
        ("float32", "float32", None),
        (">f4", "float32", None),
        ("float64", "float64", None),
        ("int64", "float64", None),
        ("bool", "float64", None),
    ],
)
def test_values_are_kept_and_axes_flattened(given_dtype, kept_dtype, scale):
    values = np.array([[[0, 1], [1, 1]], [[1, 0], [0, 0]], [[0, 0], [0, 1]]])
    dataset = build(values.astype(given_dtype))
    assert dataset.train.inputs.dtype == np.dtype(kept_dtype)
    assert dataset.train.inputs.dtype.isnative
    assert dataset.train.inputs.tolist() == [[0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert dataset.scale == scale
    assert dataset.outputs == 2


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        (np.zeros(3), "shape (3,)"),
        (np.zeros((3, 0)), "shape (3, 0)"),
        (np.zeros((3, 1), dtype=complex), "complex128"),
        (np.array([["a"], ["b"], ["c"]]), "<U1"),
        (np.array([[np.inf], [0], [0]]), "feature 0 of example 0 of the train inputs is inf"),
    ],
)
def test_other_inputs_are_refused(inputs, fault):
    with pytest.raises(DataError) as caught:
        build(inputs)
    assert fault in str(caught.value)


WHOLE = np.array([[0, 3], [128, 255], [7, 9]])


@pytest.mark.parametrize("dtype", ["int64", "uint16", ">i4", "float16", "float32", "float64"])
def test_pixels_of_any_dtype_are_asked_for(dtype):
    splits = source((WHOLE.astype(dtype), LABELS), test=(WHOLE.astype("uint8"), LABELS))
    found = build_dataset(splits, DataOptions("example", scaling="pixels"))
    assert found.train.inputs.dtype == np.uint8
    assert found.scale == 1 / 256
    assert found.sha256() == build(WHOLE.astype("uint8")).sha256()


@pytest.mark.parametrize(
    ("inputs", "warning"),
    [
        (WHOLE / 256, None),
        (WHOLE.clip(0, 127), None),
        (WHOLE, "run from 0 to 255"),
        (WHOLE - 129, "run from -129 to 126"),
    ],
)
def test_large_inputs_are_values_with_a_warning(inputs, warning):
    with (
        pytest.warns(DataWarning, match=f"{warning}, .*scaling standard")
        if warning
        else nullcontext()
    ):
        dataset = build(inputs)
    assert dataset.scale is None
    assert dataset.train.inputs.tolist() == inputs.tolist()
    unscaled = source((inputs, LABELS), test=(inputs, LABELS))
    build_dataset(unscaled, DataOptions("example", scaling="none"))  # without a warning


@pytest.mark.parametrize(
    ("targets", "kept", "outputs"),
    [
        (np.array([0.5, 1.5, -2.0]), "float64", 1),
        (np.array([0.5, 1.5, -2.0], ">f4"), "float32", 1),
        (np.array([True, False, True]), "float64", 1),
        (np.arange(6).reshape(3, 2) / 4, "float64", 2),
    ],
)
def test_regression_targets_are_kept_as_floats(check_rules, targets, kept, outputs):
    split = (np.zeros((3, 1)), targets)
    dataset = build_dataset(source(split, test=split), DataOptions("example", task="regression"))
    check_rules(dataset)
    assert dataset.train.targets.dtype == np.dtype(kept)
    assert dataset.train.targets.tolist() == targets.tolist()
    assert (dataset.outputs, dataset.class_labels) == (outputs, None)


@pytest.mark.parametrize(
    ("targets", "fault"),
    [
        (np.float64(1), "the train targets have shape ()"),
        (np.zeros((3, 0)), "the train targets have shape (3, 0)"),
        (np.zeros(2), "inputs have shape (3, 1), the targets (2,); give one target"),
        (np.array([0, np.nan, 1]), "example 1 of the train targets is nan"),
        (np.array([[0, 0], [0, 0], [0, -np.inf]]), "output 1 of example 2 of the train targets"),
    ],
)
def test_invalid_regression_targets_are_refused(targets, fault):
    split = (np.zeros((3, 1)), targets)
    with pytest.raises(DataError) as caught:
        build_dataset(source(split, test=split), DataOptions("example", task="regression"))
    assert str(caught.value).startswith("example: ")
    assert fault in str(caught.value)


def test_regression_targets_are_divided_only_by_the_seed():
    """None is left to training for being alone of its kind."""
    inputs, numbers = np.arange(700.0)[:, None] / 8, np.arange(700.0)
    first, again, other = (
        build_dataset(
            source((inputs, numbers)), DataOptions("example", task="regression", seed=seed)
        )
        for seed in (0, 0, 1)
    )
    assert (first.train.inputs.size, first.test.inputs.size) == (600, 100)
    for split in first.splits.values():
        assert (split.inputs[:, 0] * 8).tolist() == split.targets.tolist()
    assert first.sha256() == again.sha256() != other.sha256()
    with pytest.raises(
        DataError, match="example: 0.143 of 6 examples are 0 for test; give 7 examples or"
    ):
        build_dataset(source((inputs[:6], numbers[:6])), DataOptions("example", task="regression"))


def test_one_of_seven_is_for_testing_stratified_by_class():
    labels = np.repeat([5, 1, 3], [70, 140, 700])
    test = choose_examples("example", "test", labels, 0)
    assert test.dtype == np.bool_
    assert [int(test[labels == label].sum()) for label in (5, 1, 3)] == [10, 20, 100]
    # Sorted as the rows are, a division that did not shuffle would take every seventh.
    assert set(np.diff(np.flatnonzero(test))) > {6, 7, 8}


def test_the_division_never_changes():
    """Recorded once: an old run must find its own test part again, on any machine."""
    chosen = choose_examples("example", "test", np.arange(1000) % 10, 2**64 - 1)
    digest = hashlib.sha256(chosen.tobytes()).hexdigest()
    assert digest == "8ce29321890d91a1a0175e4f39ea56ec4f0c6a8d1a2ce0da2246e8ee479849fc"


@pytest.mark.parametrize("seed", range(20))
def test_training_sees_every_class(seed):
    labels = np.repeat(np.arange(12), [1, 1, 2, 2, 2, 2, 3, 3, 4, 5, 6, 7])
    test = choose_examples("example", "test", labels, seed)
    assert test.any()
    assert set(labels[~test]) == set(labels)


@pytest.mark.parametrize("labels", [[0, 1] * 3, [0, 1, 2, 3, 4, 5, 5, 5]])
def test_too_few_examples_are_refused(labels):
    fault = rf"example: 0.143 of {len(labels)} examples are 0 for test; .* another --test-share"
    with pytest.raises(DataError, match=fault):
        choose_examples("example", "test", np.asarray(labels), 0)
    assert choose_examples("example", "test", np.asarray([0, 1] * 4)[:7], 0).sum() == 1


@pytest.mark.parametrize("block_size", [0, 7])
@pytest.mark.parametrize("validation", [None, 0.2])
def test_what_is_not_finite_is_named_by_its_place_in_the_source(tmp_path, block_size, validation):
    X, y = np.zeros((300, 3)), np.arange(300) % 2
    np.save(tmp_path / "X.npy", X)
    for row in (200, 201, 202, 203, 299):  # wherever the division puts it
        stored = np.load(tmp_path / "X.npy", mmap_mode="r+")
        stored[:] = X
        stored[row, 2] = np.nan
        fault = f"feature 2 of example {row} of the train inputs is nan"
        with pytest.raises(DataError, match=fault):
            build_dataset(
                source((stored, y)),
                DataOptions("example", validation=validation, block_size=block_size),
            )
