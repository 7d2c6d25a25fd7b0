"""The recorded problem, its gradients worked by hand, and a walk along a trajectory.

No expectations are computed here: they are in trajectories.json, from other libraries.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.backends import get_backend
from pluggable_mlp.training.optimizers import GradientSteps, averaged_parameters

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


# Two layers of one shape: some libraries compile every operation anew for each shape.
_RNG = np.random.default_rng(11)
SMALL, *PUSHES = (
    [{"W": _RNG.normal(size=(4, 4)), "b": _RNG.normal(size=(4,))} for _ in range(2)]
    for _ in range(6)
)


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


def assert_follows(name: str, optimizer: GradientSteps) -> None:
    """Compare with the recorded trajectory of that name at each of its recorded steps."""
    trajectory = RECORDED["trajectories"][name]
    parameters, state = START, optimizer.init(START)
    for step in range(max(int(key) for key in trajectory)):
        parameters, state = optimizer.update(
            NUMPY.xp, gradients(parameters, step), state, parameters
        )
        if str(step + 1) in trajectory:
            assert_close(averaged_parameters(state, parameters), trajectory[str(step + 1)])
    assert state.numbers["step"] == 20
