"""Networks of several members: their layers, their loss, and the average of their predictions.

Gorishniy, Kotelnikov, Babenko, "TabM" (ICLR 2025).  The layers are in `member_layers.py`.

Shapes: the outputs z of k members are (…, k, batch, outputs); targets are (…, batch) or
(…, batch, outputs), sample_weight is (…, batch).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Literal

from msgspec import Meta

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.fields import Component, Flag, PositiveCount
from pluggable_mlp.network import member_layers
from pluggable_mlp.network.layers import Dense, Layer
from pluggable_mlp.network.loss import Loss, TargetKind, total_weight, weighted_average


@dataclass(frozen=True)
class Networks(Component):
    """Networks that share nothing but batches and dropout, computed together on a leading axis.

    The loss is the mean of their losses, the gradients of each are those of its own loss, so that
    it learns as it would alone.  Predictions are the mean of their probabilities, or of their
    outputs.  Each parameter has a leading axis of the networks.

    Parameters
    ----------
    members : int, default 8
        Their number.
    own_batches : bool, default False
        Whether `train` draws an order of the examples for each network; the networks share the
        blocks of `block_size`, which follow the first one's order.

    Raises
    ------
    ValueError
        If their number is not positive.

    See Also
    --------
    TableClassifier, TableRegressor : Have it as members of a recipe.

    Examples
    --------
    >>> from pluggable_mlp import MLP, Networks
    >>> mlp = MLP([2, 8, 3], activation="relu", ensemble=Networks(members=4))
    """

    members: PositiveCount = 8
    own_batches: Flag = False


@dataclass(frozen=True)
class TabMMini(Component):
    """TabM-mini: members that differ in factors of their inputs, and in their last layer.

    Gorishniy, Kotelnikov, Babenko, "TabM" (ICLR 2025).  They share all other layers.  The loss is
    the mean of the members' own losses; predictions are the mean of their probabilities, or of
    their outputs.

    Parameters
    ----------
    members : int, default 32
        Their number.
    scaling : {"signs", "normal"}, default "signs"
        The distribution of the factors: 1 or -1, or normal.  The authors take normal ones for
        inputs with embeddings.
    blocks : tuple of int, optional
        Numbers of consecutive inputs that start with a common factor, such as the one-hot columns
        of one feature; by default each input is a block.
    own_batches : bool, default False
        Whether `train` draws an order of the examples for each member, as for the authors' best
        results; the members share the blocks of `block_size`, which follow the first one's order.

    Raises
    ------
    ValueError
        If a value is out of range or a name is unknown.

    See Also
    --------
    TableClassifier, TableRegressor : Have it as a recipe.

    Examples
    --------
    >>> from pluggable_mlp import MLP, TabMMini
    >>> mlp = MLP([2, 8, 3], activation="relu", ensemble=TabMMini(members=4))
    """

    members: PositiveCount = 32
    scaling: Annotated[Literal["signs", "normal"], Meta()] = "signs"
    blocks: Annotated[tuple[PositiveCount, ...] | None, Meta()] = None
    own_batches: Flag = False

    def layers(self, dense: Sequence[Dense], widths: Sequence[int]) -> list[list[Layer]]:
        """Return the layers that replace each dense one.

        Parameters
        ----------
        dense : sequence of Dense
            The dense layers of a single network.
        widths : sequence of int
            The number of features of each input.

        Raises
        ------
        ValueError
            If the blocks or the parametrization of the layers do not fit.
        """
        blocks = (1,) * len(widths) if self.blocks is None else self.blocks
        if sum(blocks) != len(widths):
            raise ValueError(
                f"blocks have {sum(blocks)} inputs together, expected the {len(widths)} of the "
                "network"
            )
        remaining = iter(widths)
        of_blocks = tuple(sum(islice(remaining, size)) for size in blocks)
        first = member_layers.FirstMemberScaling(
            self.members, sum(widths), self.scaling, of_blocks, self.own_batches
        )
        *hidden, last = dense
        layers: list[list[Layer]] = [[self._hidden(one)] for one in hidden]
        layers.append([member_layers.MemberDense(self.members, last)])
        front = layers[0][0]
        if isinstance(front, member_layers.BatchEnsembleDense):
            layers[0] = [replace(front, scaling=first)]
        else:
            layers[0] = [first, front]
        return layers

    def _hidden(self, dense: Dense) -> Layer:
        """Return the layer that replaces a hidden dense one."""
        return dense


class TabM(TabMMini):
    """TabM: like `TabMMini`, but members have factors and biases in every hidden layer.

    A hidden dense layer is y = ((x r) W) s + b, and the members share W; r starts random in the
    first layer, and all other factors start at 1.

    Parameters
    ----------
    members : int, default 32
        As in `TabMMini`.
    scaling : {"signs", "normal"}, default "signs"
        As in `TabMMini`.
    blocks : tuple of int, optional
        As in `TabMMini`.
    own_batches : bool, default False
        As in `TabMMini`.

    See Also
    --------
    TableClassifier, TableRegressor : Have it as a recipe.

    Examples
    --------
    >>> from pluggable_mlp import MLP, TabM
    >>> mlp = MLP([2, 8, 3], activation="relu", ensemble=TabM(members=4))
    """

    def _hidden(self, dense: Dense) -> Layer:
        """Return the layer that replaces a hidden dense one."""
        if type(dense) is not Dense:
            raise ValueError("parametrization is 'ntk', which TabM does not have; take TabMMini")
        scaling = member_layers.MemberScaling(self.members, dense.inputs)
        return member_layers.BatchEnsembleDense(scaling, dense.outputs)


def loss_of_members(
    xp: Namespace,
    loss: Loss,
    z: Array,
    targets: Array,
    sample_weight: Array | None,
    is_mean: bool = True,
) -> tuple[Array, Array]:
    """Return the mean over the members of their losses, and dz: of this mean, or of their sum.

    If they have batches of their own, the losses count by the total weights of these.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    loss : Loss
    z : array (…, k, batch, outputs)
    targets, sample_weight : array
        As the loss takes them: without an axis of members, unless these have their own batches.
    """
    if z.ndim > 3:  # networks may have examples of their own
        are_indices = loss.targets == "classes" and not xp.isdtype(targets.dtype, "real floating")
        are_rows = not are_indices and targets.shape[-2:] == z.shape[-2:]
        targets = _for_members(xp, targets, 2 if are_rows else 1)
        sample_weight = None if sample_weight is None else _for_members(xp, sample_weight, 1)
    losses, dz = loss(xp, z, targets, sample_weight)
    is_shared = sample_weight is None or sample_weight.ndim < 2 or z.ndim > 3
    weight = None if is_shared else total_weight(xp, sample_weight)
    mean, share = weighted_average(xp, losses, weight)
    if not isinstance(share, float):
        share = xp.reshape(share, (-1, 1, 1))
    return mean, dz * share if is_mean else dz


def _for_members(xp: Namespace, array: Array, core: int) -> Array:
    """Return an array with an axis for members before its last `core`, if it has leading ones."""
    return xp.expand_dims(array, axis=-core - 1) if array.ndim > core else array


def average_of_members(xp: Namespace, kind: TargetKind, z: Array, k: int) -> Array:
    """Return outputs (…, batch, outputs) that predict the mean of the members' predictions.

    With p_m the probabilities or rates of member m, and p their mean over k members, these are
    log p for classes and counts, log p - log(1 - p) for labels, and the mean of z for numbers.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    kind : {"classes", "labels", "numbers", "counts"}
        The kind of the targets.
    z : array (…, k, batch, outputs)
    k : int
        Its shape in a graph of ONNX may not have it.
    """
    if kind == "classes":
        return _log_mean_exp(xp, z - _log_sum_exp(xp, z, -1), k)
    if kind == "labels":
        return _log_mean_exp(xp, -special.softplus(xp, -z), k) - _log_mean_exp(
            xp, -special.softplus(xp, z), k
        )
    if kind == "counts":
        return _log_mean_exp(xp, z, k)
    return xp.mean(z, axis=-3)


def _log_mean_exp(xp: Namespace, x: Array, k: int) -> Array:
    """Return the logarithm of the mean of exp(x) over the members, for x (…, k, batch, n)."""
    total = _log_sum_exp(xp, x, -3) - math.log(k)
    return xp.squeeze(total, axis=-3)


def _log_sum_exp(xp: Namespace, x: Array, axis: int) -> Array:
    """Return log(sum(exp(x))) along an axis, which is kept, without overflow."""
    shift = xp.max(x, axis=axis, keepdims=True)
    return xp.log(xp.sum(xp.exp(x - shift), axis=axis, keepdims=True)) + shift
