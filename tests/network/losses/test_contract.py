"""The average over the batch that every loss takes: what the weights of examples mean."""

import numpy as np
import pytest

from pluggable_mlp.namespaces import ARITHMETICS
from tests.network.bounded import InArithmetic
from tests.network.losses.cases import BATCH, CASES, compute, example


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("weight", [0.0, 1e-310])
def test_weights_of_nothing_give_nothing(backend, name, arithmetic, weight):
    """A batch may hold no example that counts: no NaN then, and no step to speak of."""
    z, targets = example(CASES[name].targets)
    place = InArithmetic(arithmetic, backend)
    found = compute(CASES[name], z, targets, np.full(BATCH, weight))(place)
    assert abs(float(found["loss"])) <= 1e10 * weight
    assert (abs(place.to_numpy(found["dz"])) <= 1e10 * weight).all()
