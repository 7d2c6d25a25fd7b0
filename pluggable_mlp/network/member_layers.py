"""Layers of members, several networks that share most of their weights.

Gorishniy, Kotelnikov, Babenko, "TabM" (ICLR 2025); Wen, Tran, Ba, "BatchEnsemble" (ICLR 2020).
How a network consists of them is in `members.py`.

Shapes: k members; x is (…, batch, features) before the first of these layers, or (k, batch,
features) if each has a batch of its own.  After it the members are rows: (…, batch k, features),
where row i k + m is example i of member m.  So a layer that all members share, dense or not, is the
same as for a single network: one product of matrices, whose gradient sums over examples and
members.  The last layer returns (…, k, batch, outputs).
"""

from dataclasses import dataclass
from typing import ClassVar

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.layers import (
    Arrays,
    Dense,
    Draw,
    Forward,
    Gradients,
    Layer,
    Mode,
    Shapes,
)
from pluggable_mlp.network.parameters import INITIALIZERS, Initializer

SCALINGS = {
    "signs": Initializer(lambda *_: 1.0, "sign"),
    "normal": INITIALIZERS["standard_normal"],
}
"""The distributions of the first factors, each of variance 1."""


def _reshaped(xp: Namespace, x: Array, *last: int) -> Array:
    """Return x (…, rows, features) with its last two axes reshaped to these.

    The axes before them stay.  A batch may be of unknown length: it is -1.
    """
    return xp.reshape(x, (*x.shape[:-2], *last))


def _as_row(xp: Namespace, array: Array) -> Array:
    """Return (…, k, features) as (…, 1, k features), to meet (…, batch, k features)."""
    return _reshaped(xp, array, 1, -1)


@dataclass(frozen=True)
class _OfMembers(Layer):
    """Base of layers with an array (k, features), one factor per member and feature."""

    members: int
    features: int
    constants: ClassVar[dict[str, float]] = {"r": 1.0}

    def shapes(self) -> Shapes:
        """Return {"r": (k, features)}."""
        return {"r": (self.members, self.features)}

    def by_example(self, xp: Namespace, x: Array) -> Array:
        """Return x (…, batch k, features) as (…, batch, k features)."""
        return _reshaped(xp, x, -1, self.members * self.features)

    def by_member(self, xp: Namespace, x: Array) -> Array:
        """Return x (…, batch, k features) as (…, batch k, features)."""
        return _reshaped(xp, x, -1, self.features)

    def sum_over_batch(self, xp: Namespace, x: Array) -> Array:
        """Return the sum of x (…, batch, k features) over the batch as (…, k, features)."""
        total = special.sum(xp, x, axis=-2)
        return xp.reshape(total, (*total.shape[:-1], self.members, self.features))


class MemberScaling(_OfMembers):
    """A trained factor for each member and feature: y = x r, with r (k, features)."""

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x r; dx = dy r, and dr = sum of dy x over the batch."""
        r, x = _as_row(xp, parameters["r"]), self.by_example(xp, x)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dy = self.by_example(xp, dy)
            dr = self.sum_over_batch(xp, dy * x)
            return (self.by_member(xp, dy * r) if with_dx else None), {"r": dr}

        return self.by_member(xp, x * r), backward


@dataclass(frozen=True)
class Interleaving(Layer):
    """In training, the batches of members as rows: (batch k, features) for (k, batch, features).

    If there is one batch, (batch, features), each member has it.  Layers before this one have no
    parameters and need no dx.
    """

    members: int

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return the rows in training, and x in evaluation."""
        if rng is not None:
            x = xp.broadcast_to(x, (self.members, *x.shape[-2:]))
            x = _flat(xp, special.exchanged(xp, x))
        return x, lambda *_, **_with_dx: (None, {})


@dataclass(frozen=True)
class FirstMemberScaling(_OfMembers):
    """The factors r (k, features) of the first layer, which make the members differ.

    Parameters
    ----------
    members, features : int
    distribution : str
        A name in `SCALINGS`.
    widths : tuple of int
        The widths of the blocks of features that start with a common number per member; their sum
        is the number of features.
    own_batches : bool, default False
        Whether in training each member comes with a batch of its own (see `Interleaving`).
    """

    distribution: str
    widths: tuple[int, ...]
    own_batches: bool = False

    def initial(self, draw: Draw) -> Arrays:
        """Return a number for each member and block, repeated for the features of the block."""
        drawn = draw({"W": (self.members, len(self.widths))}, SCALINGS[self.distribution])
        blocks = [block for block, width in enumerate(self.widths) for _ in range(width)]
        return {"r": drawn["W"][:, blocks]}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y (…, batch k, features) for x (…, batch, features): y_m = x r_m for member m.

        dx is the sum of dy_m r_m over the members, dr_m that of dy_m x over the batch.  With
        batches of their own, x of training is (batch k, features), row i k + m for example i of
        member m, and dx is not summed: see `MemberScaling`.
        """
        if self.own_batches and rng is not None:
            return MemberScaling(self.members, self.features).forward(xp, parameters, x, rng)
        r = xp.expand_dims(parameters["r"], axis=-3)
        x = xp.expand_dims(x, axis=-2)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dy = _reshaped(xp, dy, -1, self.members, self.features)
            dr = self.sum_over_batch(xp, self.by_example(xp, _flat(xp, dy * x)))
            return (special.sum(xp, dy * r, axis=-2) if with_dx else None), {"r": dr}

        return _flat(xp, x * r), backward


def _flat(xp: Namespace, x: Array) -> Array:
    """Return x (…, batch, k, features) as (…, batch k, features)."""
    return xp.reshape(x, (*x.shape[:-3], -1, x.shape[-1]))


@dataclass(frozen=True)
class BatchEnsembleDense(Layer):
    """A dense layer of members that share W: y = ((x r) W) s + b, with r, s and b of each member.

    Parameters
    ----------
    scaling : MemberScaling or FirstMemberScaling
        Multiplies by the factors r (k, in).
    outputs : int
    """

    weights: ClassVar[tuple[str, ...]] = ("W",)
    scaling: MemberScaling | FirstMemberScaling
    outputs: int

    @property
    def _of_outputs(self) -> MemberScaling:
        return MemberScaling(self.scaling.members, self.outputs)

    def shapes(self) -> Shapes:
        """Return the shapes of W (in, out), r (k, in), s and b (k, out)."""
        of_outputs = self._of_outputs.shapes()["r"]
        W = (self.scaling.features, self.outputs)
        return {"W": W, **self.scaling.shapes(), "s": of_outputs, "member_b": of_outputs}

    def initial(self, draw: Draw) -> Arrays:
        """Return W and a bias that the initializer draws, the same for all members, and s = 1."""
        drawn = draw({"W": self.shapes()["W"], "b": (self.outputs,)})
        biases = [drawn["b"]] * self.scaling.members
        s = self._of_outputs.initial(draw)["r"]
        return {"W": drawn["W"], **self.scaling.initial(draw), "s": s, "member_b": biases}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = u s + b with u = (x r) W.

        With du = dy s, ds and db are the sums of dy u and of dy over the batch, dW = (x r)ᵀ du sums
        over members, too, and the gradient du Wᵀ of x r goes on to dx and dr.
        """
        W, of_outputs = parameters["W"], self._of_outputs
        scaled, backward_of_scaling = self.scaling.forward(xp, parameters, x, rng)
        u = of_outputs.by_example(xp, special.matmul(xp, scaled, W))
        s, b = (_as_row(xp, parameters[name]) for name in ("s", "member_b"))

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dy = of_outputs.by_example(xp, dy)
            ds, db = (of_outputs.sum_over_batch(xp, array) for array in (dy * u, dy))
            du = of_outputs.by_member(xp, dy * s)
            dW = special.transposed_times(xp, scaled, du)
            dx, dr = backward_of_scaling(special.times_transposed(xp, du, W), with_dx=with_dx)
            return dx, {"W": dW, **dr, "s": ds, "member_b": db}

        return of_outputs.by_member(xp, u * s + b), backward


@dataclass(frozen=True)
class MemberDense(Layer):
    """The last dense layer, one per member: W (k, in, out) and b (k, out).

    Parameters
    ----------
    members : int
    dense : Dense
        The layer of one member.
    """

    weights: ClassVar[tuple[str, ...]] = ("member_W",)
    members: int
    dense: Dense

    def shapes(self) -> Shapes:
        """Return the shapes of W and b, with a leading axis of members."""
        shapes = self.dense.shapes().items()
        return {f"member_{name}": (self.members, *shape) for name, shape in shapes}

    def initial(self, draw: Draw) -> Arrays:
        """Return what the initializer draws, for each member by itself."""
        shapes = {name.removeprefix("member_"): shape for name, shape in self.shapes().items()}
        return {f"member_{name}": array for name, array in draw(shapes).items()}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y (…, k, batch, out) for x (…, batch k, in), by `dense` for each member."""
        arrays = {name.removeprefix("member_"): parameters[name] for name in self.shapes()}
        by_member = special.exchanged(xp, _reshaped(xp, x, -1, self.members, x.shape[-1]))
        y, backward_of_dense = self.dense.forward(xp, arrays, by_member, rng)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dx, gradients = backward_of_dense(dy, with_dx=with_dx)
            renamed = {f"member_{name}": gradient for name, gradient in gradients.items()}
            return (_flat(xp, special.exchanged(xp, dx)) if with_dx else None), renamed

        return y, backward
