"""The recorded problem, its gradients worked by hand, and a walk along a trajectory.

No expectations are computed here: they are in trajectories.json, from other libraries.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.backends import get_backend
from pluggable_mlp.network.layers import Dense
from pluggable_mlp.training.optimizer import Optimizer, UpdateArguments
from pluggable_mlp.training.transforms import averaged_parameters

RECORDED = json.loads(Path(__file__).with_name("trajectories.json").read_text(encoding="utf-8"))
TOLERANCE = 1e-12  # of the largest number of each array
NUMPY = get_backend("numpy")


def as_arrays(tree: Any) -> Any:
    """Return the recorded lists as read-only float64 arrays: nothing may be changed in place."""
    return [
        {name: NUMPY.asarray(np.array(x), dtype="float64") for name, x in of.items()} for of in tree
    ]


def read_only(tree: Any) -> Any:
    for of in tree:
        for array in of.values():
            array.flags.writeable = False
    return tree


START = read_only(as_arrays(RECORDED["problem"]["start"]))
CURVATURES = as_arrays(RECORDED["problem"]["a"])
CENTRES = as_arrays(RECORDED["problem"]["c"])


def gradients(parameters: Any, step: int) -> Any:
    """The gradient of the sum of a/2 (w - c)^2 + w^4/4 is a (w - c) + w^3."""
    return [
        {name: a[name] * (w - c[name][step]) + w * w * w for name, w in of.items()}
        for of, a, c in zip(parameters, CURVATURES, CENTRES, strict=True)
    ]


def assert_close(tree: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    for of, expected_of in zip(tree, expected, strict=True):
        assert list(of) == list(expected_of)
        for name, array in of.items():
            right = np.array(expected_of[name])
            assert array.shape == right.shape
            assert np.max(np.abs(array - right)) <= tolerance * np.max(np.abs(right))


def updates(
    optimizer: Optimizer,
    parameters: Any,
    gradients_at: Callable[[Any, int], Any],
    xp: Any = NUMPY.xp,
) -> Iterator[tuple[Any, Any]]:
    """Yield the parameters and the slots after each update, for ever."""
    slots, t = optimizer.initial_slots(parameters), 0
    while True:
        given = gradients_at(parameters, t)
        c, layers = optimizer.coefficients_at(t), [Dense(1, 1)] * len(parameters)
        before = UpdateArguments(xp, c, parameters, given, slots, layers)
        parameters, slots = optimizer.update(before)
        yield parameters, slots
        t += 1


def after(
    steps: int,
    optimizer: Optimizer,
    parameters: Any,
    gradients_at: Callable[[Any, int], Any],
    xp: Any = NUMPY.xp,
) -> tuple[Any, Any]:
    """Return the parameters and the slots after some updates."""
    return next(islice(updates(optimizer, parameters, gradients_at, xp), steps - 1, None))


def assert_follows(name: str, optimizer: Optimizer) -> None:
    """Compare with the recorded trajectory of that name at each of its recorded steps."""
    trajectory = RECORDED["trajectories"][name]
    reached = islice(updates(optimizer, START, gradients), max(map(int, trajectory)))
    compared = 0
    for step, (parameters, slots) in enumerate(reached, 1):
        if str(step) in trajectory:
            assert_close(averaged_parameters(slots, parameters), trajectory[str(step)])
            compared += 1
    assert compared == len(trajectory)
    assert step == 20
