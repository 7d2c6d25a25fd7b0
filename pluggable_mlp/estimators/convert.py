"""Conversion of estimators to and from scikit-learn's own, to PyTorch and ONNX.

Only weights are copied; no formula is written twice.  PyTorch uses its own modules, and the ONNX
graph is recorded by running our forward pass on ndonnx's arrays.
"""

import math
from copy import copy
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.estimators.saved import FilesMixin
from pluggable_mlp.estimators.validation import MULTILABEL
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.network.activations import ACTIVATIONS, ELU, Activation, LeakyReLU, gelu_tanh
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.feature_layers import BatchNorm, LayerNorm
from pluggable_mlp.network.layers import ActivationLayer, Dropout, Layer, Noise
from pluggable_mlp.runs.exporting import need_ndonnx, write_graph

if TYPE_CHECKING:
    import torch

_SHARED = (
    "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_",
    "feature_names_in_",
)  # fmt: skip
"""The attributes that scikit-learn's estimators have, too."""
_TORCH_NAMES = {
    "W": "weight", "b": "bias", "gamma": "weight", "beta": "bias",
    "running_mean": "running_mean", "running_variance": "running_var",
}  # fmt: skip
"""PyTorch's names of parameters and buffers."""


class ConversionMixin(FilesMixin):
    """Methods that convert an estimator to another library's, or back."""

    _counterpart: ClassVar[Any]
    """scikit-learn's estimator."""

    def _weights_to_save(self) -> Any:
        return self._parameters(self._fitted_network())

    def _take_weights(self, weights: Any, backend: str) -> None:
        self._keep(weights)
        network = self._describe()
        check_parameters(network, self._parameters(network))

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
        if not isinstance(model, cls._counterpart):
            raise TypeError(
                f"model is {model!r}, expected scikit-learn's {cls._counterpart.__name__}"
            )
        check_is_fitted(model)
        estimator = cls(**model.get_params())
        estimator.__dict__.update(_copy_attributes(model))
        estimator.coefs_ = [W.copy() for W in model.coefs_]
        estimator.intercepts_ = [b.copy() for b in model.intercepts_]
        estimator.norms_ = []
        scores = getattr(model, "validation_scores_", None)
        # scikit-learn records no losses beside them.
        estimator.validation_loss_curve_ = None if scores is None else [math.nan] * len(scores)
        if hasattr(model, "classes_"):
            estimator.classes_ = model.classes_
            several = model.out_activation_ == "logistic" and model.n_outputs_ > 1
            estimator._label_kind = MULTILABEL if several else type_of_target(model.classes_)
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
        defaults, names = type(self)().get_params(), self._counterpart().get_params()
        moving = ("backend", "device", "arithmetic", "callbacks", "class_weight")
        parameters = self.get_params()
        for name, value in parameters.items():
            if name not in names and name not in moving and value != defaults[name]:
                raise ValueError(f"{name} is {value!r}, which scikit-learn's does not have")
        converted = self._counterpart(**{name: parameters[name] for name in names})
        converted._validate_params()
        converted.__dict__.update(_copy_attributes(self))
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
            raise ValueError(f"n_members is {self.n_members}, expected 1: export with to_onnx")
        import torch

        network = self._fitted_network()
        remaining = iter(map_nested(on_host, self._parameters(network)))
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
            The file to write, such as model.onnx; an existing one is replaced.

        Raises
        ------
        ImportError
            If the extra `onnx` is not installed.
        """
        check_is_fitted(self)
        need_ndonnx()
        import ndonnx as ndx

        network = self._fitted_network()
        x = ndx.argument(shape=("N", self.n_features_in_), dtype=ndx.float32)
        parameters = map_nested(on_host, self._parameters(network))
        write_graph(Path(path), network, parameters, {"X": x}, x, self._graph_outputs)


def _copy_attributes(model: BaseEstimator) -> dict[str, object]:
    """Return the attributes that both kinds of estimators have, with lists copied."""
    return {name: copy(getattr(model, name)) for name in _SHARED if hasattr(model, name)}


def _torch_module(nn: ModuleType, layer: Layer, parameters: dict[str, Array]) -> "torch.nn.Module":
    """Return PyTorch's module for a layer, with the layer's parameters."""
    if isinstance(layer, ActivationLayer):
        return _torch_activation(nn, layer.function)
    if isinstance(layer, Dropout):
        return nn.Dropout(layer.rate)
    if isinstance(layer, Noise):  # PyTorch has no such module, and in evaluation it does nothing
        return nn.Identity()
    if isinstance(layer, BatchNorm):
        module = nn.BatchNorm1d(layer.features, layer.epsilon, layer.momentum)
    elif isinstance(layer, LayerNorm):
        module = nn.LayerNorm(layer.features, layer.epsilon)
    else:
        module = nn.Linear(*parameters["W"].shape)
    import torch

    tensors = {
        _TORCH_NAMES[name]: torch.tensor(np.ascontiguousarray(array.T))
        for name, array in parameters.items()
    }
    module = module.to(tensors["weight"].dtype)
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
