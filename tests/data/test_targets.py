"""Class labels: which are taken, which are refused, and what they become."""

import re

import numpy as np
import pytest

from pluggable_mlp.data import DataError, Split, load_dataset
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.options import DataOptions

LABELS = np.array([0, 1, 1])


def build(inputs, labels):
    both = Split(inputs, labels)
    source = {"train": both, "test": both}
    return build_dataset(source, DataOptions("example", task="classification"))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0.0, 1.0, 1.0], dtype=np.float32),
        np.array([[0], [1], [1]], dtype=np.uint8),
        np.array([False, True, True]),
        np.array([0, 1, 1], dtype=">i2"),
    ],
)
def test_labels_of_other_dtypes_become_int64(labels):
    kept = build(np.zeros((3, 2)), labels).train.targets
    assert kept.dtype == np.int64
    assert kept.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (np.array([0, 1, 2**63], dtype=np.uint64), "go from 0 to 9223372036854775808"),
        (np.array([0, 1, 1.5]), "the train label 1.5 is not a whole number"),
        (np.array([0, 1, np.inf]), "inf is not a whole number"),
        (np.array([0, 1]), "the train inputs have shape (3, 2), the targets (2,)"),
        (np.array([b"a", b"b", b"b"]), "dtype |S1"),
        (
            np.array([4, 4, 4]),
            "all training labels are 4; give two classes or more; for measurements choose --task",
        ),
    ],
)
def test_other_labels_are_refused(labels, fault):
    with pytest.raises(DataError) as caught:
        build(np.zeros((3, 2)), labels)
    assert fault in str(caught.value)


@pytest.mark.parametrize("occurring", [(1, 2, 3), (-1, 1), (0, 1000), (3, 7, 8)])
def test_classes_are_the_labels_that_occur(occurring):
    """Labels from 1, of two signs, or with gaps make no class that has no examples."""
    labels = np.array([*occurring[::-1], *occurring])
    inputs = np.arange(labels.size)[:, None] / 8
    dataset = build(inputs, labels)
    assert dataset.class_labels == occurring
    assert dataset.outputs == len(occurring)
    assert [occurring[k] for k in dataset.train.targets] == labels.tolist()
    assert [occurring[k] for k in dataset.test.targets] == labels.tolist()
    assert dataset.labels_of(dataset.train.targets).tolist() == labels.tolist()


@pytest.mark.parametrize("part", ["test", "validation"])
def test_a_label_that_training_never_saw_is_named(part):
    training, other = Split(np.zeros((3, 2)), LABELS), Split(np.zeros((1, 2)), np.array([2]))
    splits = {"train": training, "test": training, part: other}
    fault = f"example: a {part} label is 2, which training never saw (it saw 0, 1); leave"
    with pytest.raises(DataError, match=re.escape(fault)):
        build_dataset(splits, DataOptions("example"))


EVEN = np.arange(600) % 30


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (EVEN, "classification"),
        (EVEN + 1, "classification"),
        (EVEN + 2, None),  # numbered from 2
        (EVEN * 2, None),  # with gaps
        (np.append(EVEN, [30, 30, 30]), "classification"),
        (EVEN % 20 * 50, "classification"),
        (np.arange(600) % 100, "classification"),
        (np.arange(600) ** 2, None),
        (EVEN / 1.0, "regression"),
        (EVEN / 4, "regression"),
        (EVEN > 3, "classification"),
        (EVEN.astype(str), "classification"),
        ((np.arange(2)[:, None] < EVEN).T, "multilabel"),
        ((np.arange(2)[:, None] < EVEN).T * 2, "regression"),
    ],
)  # fmt: skip
def test_the_task_of_targets(tmp_path, targets, task):
    path = tmp_path / "data.npz"
    np.savez(path, X=np.eye(len(targets), 2), y=targets)
    if task is None:
        with pytest.raises(DataError, match="choose --task regression or --task classification"):
            load_dataset(path)
    else:
        assert load_dataset(path).task == task
