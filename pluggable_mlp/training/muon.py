"""Muon: orthogonalized momentum for hidden matrices, AdamW for all other parameters."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, transpose
from pluggable_mlp.fields import BelowOne, NonNegative
from pluggable_mlp.network.parameters import Tree, merged, split
from pluggable_mlp.training.optimizer import (
    Arrays,
    Coefficients,
    GradientDescent,
    Slots,
    UpdateArguments,
    moving_average,
)
from pluggable_mlp.training.optimizers import AdamW
from pluggable_mlp.training.schedules import LearningRate

_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_EPSILON = 1e-7
# The root mean square of a typical update by Adam; Liu et al. scale Muon's updates to it.
_ADAM_UPDATE = 0.2


def orthogonalize(xp: Namespace, G: Array) -> Array:
    """Return nearly U V^T for G (…, in, out) = U S V^T: its singular values come close to 1.

    Jordan's Newton-Schulz iteration: X = G / (|G| + 1e-7) with the Frobenius norm, then five
    times A = X X^T, X = a X + (b A + c A A) X with (a, b, c) = (3.4445, -4.7750, 2.0315), on the
    transpose if that has fewer rows.  Singular values above 0.002 |G| end in [0.68, 1.21]; the
    iteration is not meant to converge further.  Jordan's code and torch.optim round to bfloat16;
    here everything is in the dtype of G.
    """
    squares = xp.sum(G * G, axis=-1, keepdims=True)
    norm = xp.sqrt(xp.sum(squares, axis=-2, keepdims=True)) + _EPSILON
    X = G * (1.0 / norm)
    transposed = G.shape[-2] > G.shape[-1]
    X = transpose(X) if transposed else X
    for _ in range(_ITERATIONS):
        A = special.matmul(xp, X, transpose(X))
        polynomial = special.matmul(xp, A, A) * _C + A * _B
        X = X * _A + special.matmul(xp, polynomial, X)
    return transpose(X) if transposed else X


@dataclass(frozen=True)
class Muon(GradientDescent):
    """Muon, for every matrix W (…, in, out) except that of the output layer, and its gradient g:

        m = momentum m + (1 - momentum) g
        d = orthogonalize((1 - momentum) g + momentum m)
        W = (1 - learning_rate weight_decay) W - learning_rate 0.2 sqrt(max(in, out)) d

    and `AdamW` with its default betas and the same learning rate and weight decay for all other
    parameters (output layer, biases, gains and shifts), as the author recommends.  Jordan, "Muon:
    an optimizer for hidden layers in neural networks" (2024), with Nesterov's momentum.  The factor
    0.2 sqrt(max(in, out)) is that of Liu et al., "Muon is scalable for LLM training" (2025),
    "match_rms_adamw" in torch.optim: updates are as large as those of AdamW, so that one learning
    rate is suitable for both.  Jordan's own is sqrt(max(1, out / in)), with a separate rate for
    each.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        At least 0; typical values are those for AdamW.
    momentum : float, default 0.95
        At least 0 and below 1.
    weight_decay : float, default 0.1
        At least 0.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    torch.optim.Muon : The update of the matrices.

    Examples
    --------
    >>> from pluggable_mlp import MLP, Muon, get_backend, train
    >>> x, targets = [[0.0], [1.0]], [0, 1]
    >>> backend = get_backend("numpy")
    >>> result = train(MLP([1, 4, 2]), x, targets, backend=backend, optimizer=Muon(0.01))
    >>> result.history[-1] < result.history[0]
    True
    """

    learning_rate: LearningRate = 0.001
    momentum: BelowOne = 0.95
    weight_decay: NonNegative = 0.1
    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    def coefficients(self, t: int, rate: float) -> Coefficients:
        """Return the rate and the decay, and the coefficients of AdamW."""
        others = self._others.coefficients(t, rate)
        return {"rate": rate, "decay": others["decay"], "adamw": others}

    def rule(self, xp: Namespace, c: Coefficients, w: Array, g: Array, *slots: Array) -> Arrays:
        """Return W and m, of a hidden matrix."""
        m = moving_average(slots[0], g, self.momentum)
        # Nesterov's blend of gradient and momentum has the form of the momentum's own update.
        d = moving_average(m, g, self.momentum)
        size = _ADAM_UPDATE * math.sqrt(max(w.shape[-2:]))
        return orthogonalize(xp, d) * (-c["rate"] * size) + w, m

    def initial_slots(self, parameters: Tree) -> Slots:
        """Return the momentum of the hidden matrices, and the slots of AdamW."""
        hidden, others = _divide(parameters)
        return {**super().initial_slots(hidden), **self._others.initial_slots(others)}

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the update of the hidden matrices by the rule, and of the others by AdamW."""
        # By names: a group of the parameters alone does not tell which is the output layer.
        names = before.slots["momentum"]
        (hidden, others), (dW, d_others) = (
            split(tree, names) for tree in (before.parameters, before.gradients)
        )
        hidden, momentum = super().update(before._replace(parameters=hidden, gradients=dW))
        others, moments = self._others.update(
            before._replace(c=before.c["adamw"], parameters=others, gradients=d_others)
        )
        return merged(hidden, others), {**momentum, **moments}

    @cached_property
    def _others(self) -> AdamW:
        return AdamW(self.learning_rate, weight_decay=self.weight_decay)


def _divide(tree: Tree) -> tuple[Tree, Tree]:
    """Return a tree of the matrices of the hidden layers, and one of all other arrays."""
    dense = [index for index, layer in enumerate(tree) if {"W", "member_W"} & layer.keys()]
    output = max(dense, default=None)
    return split(tree, [("W",) if index != output else () for index in range(len(tree))])
