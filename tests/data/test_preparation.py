"""What is made of later files: the same numbers as in training, the labels that it knows."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from pluggable_mlp.data import DataError, DataWarning, Split, load_dataset
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.options import DataOptions

PIXELS = Preparation(features=2, scale=1 / 16, input_range=(0.0, 1.0), class_labels=(0, 1))
NUMBERS = Preparation(features=2, scale=None, input_range=(-2.0, 3.0), class_labels=(-1, 1, 5))


def test_it_is_that_of_the_training_part():
    inputs, labels = np.array([[-2.0, 0.5], [3.0, 0.0]]), np.array([7, -7])
    test = Split(np.array([[-90.0, 90.0]]), np.array([7]))
    source = {"train": Split(inputs, labels), "test": test}
    fitted = build_dataset(source, DataOptions("example")).preparation
    assert fitted == Preparation(2, None, (-2.0, 3.0), (-7, 7), examples={"train": 2, "test": 1})
    assert load_dataset("digits").preparation == Preparation(
        64, 1 / 16, (0.0, 1.0), tuple(range(10)), examples={"train": 1541, "test": 256}
    )


def test_regression_targets_have_no_classes():
    inputs, numbers = np.arange(14.0).reshape(7, 2), np.arange(7.0)
    source = {"train": Split(inputs, numbers)}
    fitted = build_dataset(source, DataOptions(task="regression")).preparation
    assert (fitted.task, fitted.class_labels, fitted.target_names) == ("regression", None, ("y",))
    assert fitted.targets("file", np.array([0.5, -9.0])).tolist() == [0.5, -9.0]
    with pytest.raises(DataError, match="file: its targets have 2 columns, the network answers w"):
        fitted.targets("file", np.zeros((3, 2)))


def test_it_survives_json():
    labels = Preparation(2, None, (0.0, 1.0), None, "multilabel", ("red", "green"))
    for preparation in (PIXELS, NUMBERS, labels, replace(NUMBERS, class_labels=("cat", "dog"))):
        written = json.loads(json.dumps(preparation.to_dict() | {"settings": {}}))
        assert Preparation.from_dict(written) == preparation


def values_of(preparation, array):
    """The numbers that a network is given."""
    inputs = preparation.inputs("file", array)
    return (inputs * (preparation.scale_of(inputs) or 1.0)).tolist()


WHOLE = [[0, 16], [4, 8]]
SCALED = [[0.0, 1.0], [0.25, 0.5]]


def test_bytes_are_pixels_whatever_their_axes():
    pixels = np.array(WHOLE, np.uint8)
    assert values_of(PIXELS, pixels) == values_of(PIXELS, pixels.reshape(2, 1, 2)) == SCALED
    # As bytes, of which the reproducible products and their bits are made.
    assert PIXELS.inputs("file", pixels).dtype == np.uint8


@pytest.mark.parametrize("array", [SCALED, np.eye(2), np.eye(2) > 0, np.eye(2, dtype=int)])
def test_other_numbers_are_values_where_training_saw_bytes(array):
    assert values_of(PIXELS, np.array(array)) == np.array(array).tolist()


WHOLE_PIXELS = replace(PIXELS, pixels=True)


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">u2", "float32"])
def test_where_pixels_were_asked_for_all_whole_numbers_are(dtype):
    array = np.array(WHOLE, dtype)
    assert values_of(WHOLE_PIXELS, array) == SCALED
    assert values_of(Preparation.from_dict(WHOLE_PIXELS.to_dict()), array) == SCALED
    assert WHOLE_PIXELS.inputs("file", array).dtype == np.uint8


@pytest.mark.parametrize("wrong", [256, 65535, -1, 0.5])
def test_numbers_that_are_no_pixels_are_refused_among_pixels(wrong):
    """They would change the unit of all others."""
    fault = f"file: the new inputs, from {min(0, wrong)} to {max(200, wrong)}, are not 8-bit pixels"
    with pytest.raises(DataError, match=fault):
        WHOLE_PIXELS.inputs("file", np.array([[0, 200], [7, wrong]]))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32", "float64", "bool"])
def test_whole_numbers_are_values_where_training_saw_numbers(dtype):
    array = np.array([[0, 1], [1, 1]], dtype)
    assert values_of(NUMBERS, array) == array.tolist()
    assert NUMBERS.inputs("file", array).dtype.kind == "f"


@pytest.mark.parametrize(
    ("preparation", "array", "told"),
    [
        (PIXELS, np.array([[0, 255]], np.uint8), "0 to 15.9375, training saw 0 to 1"),
        (PIXELS, np.array([[0.0, 2.0]]) + 1e-3, "0.001 to 2.001, training saw 0 to 1"),
        (PIXELS, np.array([[-1.0, 1.99]]), None),
        (NUMBERS, np.array([[-7.0, 8.0]]), None),
        (NUMBERS, np.array([[-7.1, 8.0]]), "-7.1 to 8, training saw -2 to 3"),
        (NUMBERS, np.array([[0, 255]], np.uint8), "0 to 255, training saw -2 to 3"),
    ],
)
def test_numbers_far_outside_the_range_of_training_warn(preparation, array, told):
    if told:
        with pytest.warns(DataWarning, match=f"file: the inputs run from {told}; prepare them"):
            preparation.inputs("file", array)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preparation.inputs("file", array)


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((2, 3)), "have 3 features; give 2 as in training, without labels"),
        (np.zeros((2, 4)), "have 4 features; give 2 as in training"),
        (np.zeros(2), r"the new inputs have shape \(2,\)"),
        (np.array([[0, 0], [0, np.nan]]), "feature 1 of example 1 of the new inputs is nan"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(array, fault):
    for preparation in (PIXELS, NUMBERS):
        with pytest.raises(DataError, match=f"file: .*{fault}"):
            preparation.inputs("file", array)


def test_values_are_not_rounded():
    values = np.array([[0.1, (1 - 2.0**-30) * 2.0**-126]])  # reproducible makes the second 0
    for preparation in (PIXELS, NUMBERS):
        assert preparation.inputs("file", values).tolist() == values.tolist()


def test_labels_become_their_outputs():
    assert NUMBERS.targets("file", np.array([5, -1, 1, 5])).tolist() == [2, 0, 1, 2]
    with pytest.raises(DataError, match=r"file: a new label is 0, .* \(it saw -1, 1, 5\)"):
        NUMBERS.targets("file", np.array([5, 0]))
