"""Conversion of estimators to and from files, scikit-learn's own, PyTorch and ONNX.

Only weights are copied; no formula is written twice.  PyTorch uses its own modules, and the ONNX
graph is recorded by running our forward pass on ndonnx's arrays.
"""

import math
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sklearn.neural_network
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.backends import get_backend
from pluggable_mlp.estimators.objective import outputs_of_members
from pluggable_mlp.estimators.saving import FilesMixin
from pluggable_mlp.estimators.validation import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    place_of,
)
from pluggable_mlp.exporting import need_ndonnx
from pluggable_mlp.files import write_file
from pluggable_mlp.lazy import on_host
from pluggable_mlp.network.activations import ACTIVATIONS, ELU, Activation, LeakyReLU, gelu_tanh
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.layers import ActivationLayer, Dense, Dropout, Layer, Noise
from pluggable_mlp.network.normalization import BatchNorm, LayerNorm
from pluggable_mlp.network.trees import map_arrays

if TYPE_CHECKING:
    import torch

_ATTRIBUTES = (
    "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_",
    "feature_names_in_",
)  # fmt: skip


class ConversionMixin(FilesMixin):
    """Methods that convert an estimator to another library's, or back."""

    _saved = (*_ATTRIBUTES, "validation_loss_curve_", "_no_improvement_count", "classes_",
              "_label_kind", "_outputs_of_y")  # fmt: skip

    def _weights_to_save(self) -> Any:
        return self._parameters(self._fitted_network())

    def _take_weights(self, weights: Any, backend: str) -> None:
        place, network = get_backend(backend), self._describe()
        check_parameters(network, weights)
        self._keep(map_nested(place.asarray, weights))
        self._parameters(network)  # they are those of as many members

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Convert a fitted scikit-learn estimator, copying its parameters and weights.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier or MLPRegressor
            Must be fitted.  Its optimizer's memory is not copied.

        Returns
        -------
        estimator
            Its predictions equal the model's, to rounding.
        """
        theirs = _kind_of_sklearn(cls)
        if not isinstance(model, theirs):
            raise TypeError(f"model is {model!r}, expected scikit-learn's {theirs.__name__}")
        check_is_fitted(model)
        estimator = cls(**model.get_params())
        estimator.__dict__.update(_copied(model))
        estimator.coefs_ = [W.copy() for W in model.coefs_]
        estimator.intercepts_ = [b.copy() for b in model.intercepts_]
        estimator.norms_ = []
        scores = getattr(model, "validation_scores_", None)
        # scikit-learn records no losses beside them.
        estimator.validation_loss_curve_ = None if scores is None else [math.nan] * len(scores)
        if hasattr(model, "classes_"):
            estimator.classes_ = model.classes_
            estimator._label_kind = MULTICLASS
            if model.out_activation_ == "logistic":
                estimator._label_kind = BINARY if model.n_outputs_ == 1 else MULTILABEL
        else:
            estimator._outputs_of_y = model.n_outputs_
        return estimator

    def to_sklearn(self) -> BaseEstimator:
        """Return scikit-learn's estimator with the same parameters and weights, as NumPy arrays.

        Raises
        ------
        ValueError
            If scikit-learn's estimator lacks a parameter; the message names it.
        """
        check_is_fitted(self)
        kind = _kind_of_sklearn(type(self))
        defaults, names = type(self)().get_params(), kind().get_params()
        moving = ("backend", "device", "arithmetic", "callbacks", "class_weight")
        parameters = self.get_params()
        for name, value in parameters.items():
            if name not in names and name not in moving and value != defaults[name]:
                raise ValueError(f"{name} is {value!r}, which scikit-learn's does not have")
        converted = kind(**{name: parameters[name] for name in names})
        converted._validate_params()
        converted.__dict__.update(_copied(self))
        converted._no_improvement_count = 0
        converted.coefs_, converted.intercepts_ = (
            [np.array(on_host(array)) for array in arrays]
            for arrays in (self.coefs_, self.intercepts_)
        )
        if hasattr(self, "classes_"):
            converted.classes_ = np.array(on_host(self.classes_))
            several = self._label_kind == MULTILABEL
            examples = np.eye(self.n_outputs_, dtype=int) if several else converted.classes_
            converted._label_binarizer = LabelBinarizer().fit(examples)
        return converted

    def to_torch(self) -> "torch.nn.Sequential":
        """Return a `torch.nn.Sequential` on the processor, in evaluation mode, with copied weights.

        It returns the outputs before the link function.  For a classifier these are logits, whose
        softmax (for two classes or multilabel targets, the sigmoid) gives the probabilities.

        Raises
        ------
        ValueError
            If an activation is a user-defined function, or there are several members.
        """
        check_is_fitted(self)
        if self.n_members > 1:
            raise ValueError(
                f"n_members is {self.n_members}, and PyTorch has no module for the mean of "
                "several networks; export with to_onnx"
            )
        import torch

        network, home = self._fitted_network(), place_of(self.coefs_[0])
        remaining = iter(map_arrays(home.to_numpy, self._parameters(network)))
        modules = [
            _torch_module(torch.nn, layer, next(remaining) if layer.shapes() else {})
            for layer in network.layers
        ]
        return torch.nn.Sequential(*modules).eval()

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to an ONNX file, float32, for batches of any size.

        The input is "X" (N, features).  A classifier has the outputs "label", as from `predict`,
        and "probabilities"; a regressor has "prediction".

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ImportError
            If the extra `onnx` is not installed.
        """
        check_is_fitted(self)
        need_ndonnx()
        import ndonnx as ndx

        network, home = self._fitted_network(), place_of(self.coefs_[0])
        x = ndx.argument(shape=("N", self.n_features_in_), dtype=ndx.float32)
        parameters = map_arrays(
            lambda array: ndx.asarray(home.to_numpy(array).astype(np.float32)),
            self._parameters(network),
        )
        z = outputs_of_members(ndx, network, parameters, x)
        model = ndx.build({"X": x}, self._graph_outputs(ndx, network.objective, z))
        write_file(Path(path), model.SerializeToString())


def _kind_of_sklearn(kind: type[ConversionMixin]) -> type[BaseEstimator]:
    """Return scikit-learn's class with the name of the estimator's class or of one of its bases."""
    names = [base.__name__ for base in kind.__mro__ if issubclass(base, ConversionMixin)]
    return next(
        base for base in map(sklearn.neural_network.__dict__.get, names) if base is not None
    )


def _copied(model: BaseEstimator) -> dict[str, object]:
    """Return the attributes that both kinds of estimators have, with lists copied."""
    attributes = {name: getattr(model, name) for name in _ATTRIBUTES if hasattr(model, name)}
    return {
        name: list(value) if isinstance(value, list) else value
        for name, value in attributes.items()
    }


def _torch_module(nn: ModuleType, layer: Layer, parameters: dict[str, Array]) -> "torch.nn.Module":
    """Return PyTorch's module for a layer, with the layer's parameters."""
    if isinstance(layer, Dropout):
        return nn.Dropout(layer.rate)
    if isinstance(layer, Noise):  # PyTorch has no such module, and in evaluation it does nothing
        return nn.Identity()
    if isinstance(layer, ActivationLayer):
        return _torch_activation(nn, layer.function)
    if type(layer) is Dense:
        names = {"weight": parameters["W"].T, "bias": parameters["b"]}
        module = nn.Linear(layer.inputs, layer.outputs)
    elif not isinstance(layer, BatchNorm | LayerNorm):
        raise ValueError(f"PyTorch has no module for {type(layer).__name__}; export with to_onnx")
    else:
        names = {"weight": parameters["gamma"], "bias": parameters["beta"]}
        kind = nn.BatchNorm1d if isinstance(layer, BatchNorm) else nn.LayerNorm
        module = kind(layer.features, eps=layer.epsilon)
    if isinstance(layer, BatchNorm):
        module.momentum = layer.momentum
        names |= {
            "running_mean": parameters["running_mean"],
            "running_var": parameters["running_variance"],
        }
    import torch

    tensors = {name: torch.tensor(np.ascontiguousarray(array)) for name, array in names.items()}
    module = module.to(next(iter(tensors.values())).dtype)
    module.load_state_dict(tensors, strict=False)  # BatchNorm1d counts its batches, too
    return module


def _torch_activation(nn: ModuleType, function: Activation) -> "torch.nn.Module":
    if isinstance(function, LeakyReLU):
        return nn.LeakyReLU(function.slope)
    if isinstance(function, ELU):
        return nn.ELU(function.alpha)
    if function is gelu_tanh:
        return nn.GELU("tanh")
    modules = {name.lower(): module for name, module in vars(nn).items()}
    for name, candidate in ACTIVATIONS.items():  # PyTorch's have the same names
        if function is candidate and name in modules:
            return modules[name]()
    raise ValueError(f"activation is {function!r}, for which PyTorch has no module")
