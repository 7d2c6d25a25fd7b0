"""Networks of one recipe that are trained together: each as by itself, and their mean."""

import numpy as np
import pytest

from pluggable_mlp import MLP, Adam, get_backend, train
from pluggable_mlp.network.members import Networks

KIND = {
    "plain": {"activation": "tanh"},
    "table": {
        "activation": "selu", "parametrization": "ntk", "input_scaling": True, "norm": "batch",
        "initializer": "standard_normal", "parametric_activation": True, "dropout": 0.25,
    },
}  # fmt: skip


def pair(kind, loss):
    of_loss = {"loss": loss, **KIND[kind]}
    outputs = 3 if loss == "softmax_cross_entropy" else 2
    sizes = [4, 6, 5, outputs]
    return MLP(sizes, **of_loss), MLP(sizes, ensemble=Networks(3), **of_loss)


def at(parameters, place):
    return [{name: array[place] for name, array in layer.items()} for layer in parameters]


@pytest.mark.parametrize("kind", KIND)
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "huber"])
def test_each_is_trained_as_by_itself(kind, loss):
    """To rounding: the same sums, in products of other sizes."""
    rng, backend = np.random.default_rng(0), get_backend("numpy")
    single, together = pair(kind, loss)
    x, weights = rng.normal(size=(40, 4)), rng.uniform(0.5, 2.0, size=40)
    y = {
        "softmax_cross_entropy": rng.integers(0, 3, 40), "huber": rng.normal(size=(40, 2)),
        "sigmoid_cross_entropy": rng.integers(0, 2, (40, 2)) * 1.0,
    }[loss]  # fmt: skip
    how = {"backend": backend, "optimizer": Adam(0.01), "epochs": 3, "batch_size": 16}
    how |= {"sample_weight": weights, "dtype": "float64"}
    initial = together.initialize(seed=0, backend=backend, dtype="float64")
    result = train(together, x, y, parameters=initial, **how)
    alone = [train(single, x, y, parameters=at(initial, place), **how) for place in range(3)]
    assert len({float(one.history[0]) for one in alone}) == 3
    assert result.history == pytest.approx(np.mean([one.history for one in alone], axis=0))
    for place, one in enumerate(alone):
        for layer, expected in zip(at(result.parameters, place), one.parameters, strict=True):
            for name, array in expected.items():
                np.testing.assert_allclose(layer[name], array, rtol=1e-9, atol=1e-12)
    method = "predict" if loss == "huber" else "predict_proba"
    answers = [getattr(single, method)(one.parameters, x) for one in alone]
    found = getattr(together, method)(result.parameters, x)
    np.testing.assert_allclose(found, np.mean(answers, axis=0), rtol=1e-9)
