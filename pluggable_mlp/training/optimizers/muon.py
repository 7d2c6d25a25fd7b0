"""Muon: orthogonalized momentum for hidden matrices, AdamW for the rest; no other optimizer."""

import math
from dataclasses import dataclass

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, transpose
from pluggable_mlp.registry import keep_number
from pluggable_mlp.training.optimizers.adam import AdamW
from pluggable_mlp.training.optimizers.contract import Descent, Numbers, Trees
from pluggable_mlp.training.optimizers.moments import average
from pluggable_mlp.training.optimizers.weight_decay import shrink_weights
from pluggable_mlp.training.schedules import LearningRate
from pluggable_mlp.training.trees import Tree, map_arrays, merge, split, zeros_like

__all__ = ["Muon", "orthogonalize"]

_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_EPSILON = 1e-7
# The root mean square of a typical step of Adam; Liu et al. scale Muon's steps to it.
_ADAM_STEP = 0.2


def orthogonalize(xp: Namespace, G: Array) -> Array:
    """Return nearly U V^T for G (…, in, out) = U S V^T: its singular values come close to 1.

    Jordan's Newton-Schulz iteration: X = G / (|G| + 1e-7) with the Frobenius norm, then five
    times A = X X^T, X = a X + (b A + c A A) X with (a, b, c) = (3.4445, -4.7750, 2.0315), on the
    transpose where it has fewer rows.  Singular values above 0.002 |G| end in [0.68, 1.21]; it is
    not meant to converge further.  Jordan's code and torch.optim round to bfloat16; here all is
    in G's dtype.
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
class Muon(Descent):
    """Muon, for every matrix W (…, in, out) but the output layer's, and its gradient g:

        m = momentum m + (1 - momentum) g
        d = orthogonalize((1 - momentum) g + momentum m)
        W = (1 - learning_rate weight_decay) W - learning_rate 0.2 sqrt(max(in, out)) d

    and `AdamW` with its default betas, the same learning rate and weight decay for all else: the
    output layer, biases, gains and shifts, as the author advises.  Jordan, "Muon: an optimizer
    for hidden layers in neural networks" (2024), with Nesterov's momentum.  The factor
    0.2 sqrt(max(in, out)) is that of Liu et al., "Muon is scalable for LLM training" (2025),
    torch.optim's "match_rms_adamw": steps are as large as AdamW's, so that one learning rate
    serves both.  Jordan's own is sqrt(max(1, out / in)), with a rate of its own for each.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        At least 0; what suits AdamW suits here.
    momentum : float, default 0.95
        At least 0 and below 1.
    weight_decay : float, default 0.1
        At least 0.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    learning_rate: LearningRate = 0.001
    momentum: float = 0.95
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "momentum", at_least=0.0, below=1.0)
        keep_number(self, "weight_decay", at_least=0.0)

    def initial_numbers(self) -> Numbers:
        """Return those of AdamW: the count of steps is shared."""
        return self._rest().initial_numbers()

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return {"momentum": zeros for the matrices}, and the trees of AdamW."""
        matrices, rest = _divide(parameters)
        return {"momentum": zeros_like(matrices), **self._rest().initial_trees(rest)}

    def advance(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return the coefficients of the next update, and the numbers after it."""
        return self._rest().advance(numbers)

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the parameters, the momentum and AdamW's trees after one update."""
        of_matrices, of_rest = _divide(gradients)
        matrices, rest = _divide(parameters)
        rest, own = self._rest().apply(xp, coefficients, of_rest, trees, rest)

        rate = coefficients["rate"]
        matrices = shrink_weights(matrices, rate, self.weight_decay)
        momentum = average(trees["momentum"], of_matrices, self.momentum)
        # Nesterov's blend of gradient and momentum has the form of the momentum's own update.
        direction = average(momentum, of_matrices, self.momentum)

        def descend(W: Array, d: Array) -> Array:
            size = _ADAM_STEP * math.sqrt(max(W.shape[-2:]))
            return orthogonalize(xp, d) * (-rate * size) + W

        return merge(map_arrays(descend, matrices, direction), rest), {"momentum": momentum, **own}

    def _rest(self) -> AdamW:
        return AdamW(self.learning_rate, weight_decay=self.weight_decay)


def _divide(tree: Tree) -> tuple[Tree, Tree]:
    """Return a tree of the hidden layers' matrices, and one of all other arrays."""
    output = max((index for index, of in enumerate(tree) if "W" in of), default=None)
    return split(tree, [("W",) if index != output else () for index in range(len(tree))])
