"""Published recipes of networks for tables: which network, optimizer and loop each consists of.

A recipe has values for options that were not given (`plan.py`), and for choices that no option
covers.  It holds its authors' numbers; its parts are defined in `network/` and `training/`,
and the conversion of a table to a matrix in `data/`.  The parts are imported only when they are
made, because the help of the command line shows just the values.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

from msgspec import Meta

from pluggable_mlp.fields import Component, Flag, PositiveCount
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.factors import DecayFactors, RateFactors
from pluggable_mlp.training.optimizer import GradientDescent
from pluggable_mlp.training.schedules import FlatCosine
from pluggable_mlp.training.transforms import L2, Transform

if TYPE_CHECKING:
    from pluggable_mlp.network.mlp import MLP

Values: TypeAlias = dict[str, Any]
"""Values of options, or arguments of `MLP`, by name."""

Pairs: TypeAlias = Literal["sign", "one-hot"]
"""What a column of two categories becomes: one feature, -1 or 1, or two."""


class TableForm(NamedTuple):
    """The form of a network's inputs.

    Parameters
    ----------
    blocks : tuple of int
        How many features each column has become; the numbers come first, and those that a recipe
        embeds last.
    edges : tuple of tuple of float
        The edges of the bins of each number; empty for recipes without `bins`.
    numbers : int
        How many blocks are numbers.
    categories : tuple of int
        The blocks that a recipe embeds; empty for recipes without `embedded`.
    target_range : tuple of float, optional
        The least and the largest target of a regression, scaled.
    """

    blocks: tuple[int, ...]
    edges: tuple[tuple[float, ...], ...] = ()
    numbers: int = 0
    categories: tuple[int, ...] = ()
    target_range: tuple[float, float] | None = None


class Facts(NamedTuple):
    """Facts about a training, which decide a recipe's values.

    Parameters
    ----------
    task : {"classification", "multilabel", "regression"}
    rows : int
        Those of the training part.
    has_edges : bool, default False
        Whether there are numbers with bins.
    validates : bool, default False
        Whether there is a validation part.
    epochs : int, optional
        How many were asked for.
    """

    task: str
    rows: int
    has_edges: bool = False
    validates: bool = False
    epochs: int | None = None


class Recipe(Component):
    """Base of recipes, and the recipe of the plain network, which uses the numbers as they are.

    Attributes
    ----------
    scaling : str or None
        The scaling of the features; None for the default without a recipe.
    pairs : {"sign", "one-hot"} or None
        How a column of two categories is encoded; the features are then those for networks of
        `fit_columns`, numbers first.  None for the default without a recipe.
    embedded : int or None
        Columns of at least this many categories have an embedding.
    on_rows : bool
        Whether the initial parameters follow from the rows: see `initialized_on_rows`.
    keeps_range : bool
        Whether predicted numbers are clipped to the range of the training targets.
    bins : int
        The number of bins of each number, for an embedding; 0 for none.
    validation : float or None
        The share of the training part that selects the best epoch; None: the last is kept,
        unless there is early stopping.
    follows_accuracy : bool
        Whether the best epoch of a classification is the most accurate one, not the one with the
        least loss.
    whole_batches : bool
        Whether a smaller last batch of an epoch is left out.
    rows_at_once : int
        How many rows of the validation part, or of an estimator's predictions, to compute at once.
    rate_factors : mapping of str to float
        Factors of the learning rate by parameter name, as for `RateFactors`.
    ends_with_training : bool
        Whether dropout and weight decay depend on the number of training steps.
    """

    scaling: ClassVar[str | None] = None
    pairs: ClassVar[Pairs | None] = None
    embedded: ClassVar[int | None] = None
    on_rows: ClassVar[bool] = False
    keeps_range: ClassVar[bool] = False
    bins: ClassVar[int] = 0
    validation: ClassVar[float | None] = None
    follows_accuracy: ClassVar[bool] = False
    whole_batches: ClassVar[bool] = False
    rows_at_once: ClassVar[int] = 1000
    rate_factors: ClassVar[Mapping[str, float]] = {}
    ends_with_training: ClassVar[bool] = False

    def values(self, facts: Facts) -> Values:
        """Return values of options by name."""
        # With the rate of SGD itself, 0.1, squared errors of 100 sigmoids diverge.
        rate = {"learning_rate": 0.01} if facts.task == "regression" else {}
        return {
            "hidden": (100,),
            "activation": "sigmoid",
            "dropout": 0.0,
            "label_smoothing": 0.0,
            "optimizer": "sgd",
            "batch_size": 16,
            "epochs": 30,
            **rate,
        }

    def usual_members(self, rows: int, optimizer: str) -> int | None:
        """Return the number of networks or members for so many rows; None without an ensemble."""
        return None

    def parts(self, form: TableForm) -> Values:
        """Return the arguments of `MLP` that are no options."""
        return {}

    def scheduled(self, mlp: "MLP", total_steps: int) -> "MLP":
        """Return the network for a training with this many steps; by default the same."""
        return mlp

    def with_factors(
        self, optimizer: AnyOptimizer, names: Set[str], total_steps: int
    ) -> AnyOptimizer:
        """Return an optimizer, perhaps in transforms, with factors for parameters by name."""
        factors = {name: factor for name, factor in self.rate_factors.items() if name in names}
        if not factors:
            return optimizer
        if isinstance(optimizer, Transform):
            inner = self.with_factors(optimizer.optimizer, names, total_steps)
            return optimizer.replaced(optimizer=inner)
        if isinstance(optimizer, GradientDescent):
            return RateFactors(optimizer, factors)
        return optimizer  # L-BFGS has no rate


class TableRecipe(Recipe):
    """Base of recipes for tables."""

    pairs: ClassVar[Pairs | None] = "one-hot"
    validation: ClassVar[float | None] = 0.2
    follows_accuracy: ClassVar[bool] = True
    rows_at_once: ClassVar[int] = 512  # of as many members


_FEW_ROWS = 1024
"""The most rows for training with which RealMLP is eight networks: docs/how-to/tables.md."""


@dataclass(frozen=True)
class RealMLP(TableRecipe):
    """RealMLP-TD-S: the simplified network of tuned defaults.

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024): three hidden layers of
    256 in NTK parametrization, after a scaling of inputs; Adam, with factors for its rate.

    Parameters
    ----------
    members : int, optional
        The number of networks that are trained together and averaged: by default eight for few
        rows of the training part, else one; one with L-BFGS.
    own_batches : bool, default False
        Whether each has an order of the examples of its own; blocks follow the first one's order.
    """

    members: Annotated[PositiveCount | None, Meta()] = None
    own_batches: Flag = False
    scaling: ClassVar[str | None] = "smooth_clip"
    pairs: ClassVar[Pairs | None] = "sign"
    whole_batches: ClassVar[bool] = True
    rate_factors: ClassVar[Mapping[str, float]] = {"scale": 6.0, "b": 0.1}

    def values(self, facts: Facts) -> Values:
        """See `Recipe`."""
        is_regression = facts.task == "regression"
        return {
            "hidden": (256, 256, 256),
            "activation": "mish" if is_regression else "selu",
            "dropout": 0.0,
            "label_smoothing": 0.1 if facts.task == "classification" else 0.0,
            "optimizer": "adam:beta2=0.95",
            "learning_rate": 0.07 if is_regression else 0.04,
            "schedule": "log_cosine",
            "batch_size": _batch_size(facts.rows),
            "epochs": 256,
            # 64 of 256 cost no score in the mean; more epochs have longer cycles of the rate.
            "early_stopping": max(64, (facts.epochs or 0) // 4) if facts.validates else None,
        }

    def usual_members(self, rows: int, optimizer: str) -> int | None:
        """See `Recipe`; L-BFGS takes one network."""
        return 8 if rows <= _FEW_ROWS and optimizer != "lbfgs" else 1

    def parts(self, form: TableForm) -> Values:
        """See `Recipe`."""
        from pluggable_mlp.network.members import Networks

        members = self.members or 1
        return {
            "initializer": "standard_normal",
            "output_initializer": "zeros",
            "parametrization": "ntk",
            "input_scaling": True,
            "ensemble": Networks(members, self.own_batches) if members > 1 else None,
        }


def _batch_size(rows: int) -> int:
    """Return the size of RealMLP's batches for so many examples, as pytabkit's "auto"."""
    return 64 << sum(rows > count for count in (1024, 8192, 30_000, 100_000))


class RealMLPWhole(RealMLP):
    """RealMLP-TD: the network of tuned defaults.

    As in the package pytabkit, whose one-hot limit of 9 counts missing as a category, and which
    multiplies weight decay by the factors of the learning rates twice.
    """

    embedded: ClassVar[int | None] = 9
    on_rows: ClassVar[bool] = True
    keeps_range: ClassVar[bool] = True
    ends_with_training: ClassVar[bool] = True
    rate_factors: ClassVar[Mapping[str, float]] = {
        "scale": 6.0,
        **dict.fromkeys(("a", "embedding_w", "embedding_b", "embedding_V", "embedding_c"), 0.1),
        "b": 0.1,
    }

    def values(self, facts: Facts) -> Values:
        """See `Recipe`; the decay is decoupled, and follows a schedule, as the dropout does."""
        rate = {"learning_rate": 0.2} if facts.task == "regression" else {}
        others = {"dropout": 0.15, "weight_decay": 0.02, "early_stopping": None}
        return super().values(facts) | rate | others

    def parts(self, form: TableForm) -> Values:
        """See `Recipe`."""
        from pluggable_mlp.network.categories import Categories
        from pluggable_mlp.network.embeddings import Periodic

        return super().parts(form) | {
            "output_initializer": None,
            "parametric_activation": True,
            "embedding": Periodic(form.numbers) if form.numbers else None,
            "category_embedding": Categories(form.categories) if form.categories else None,
            "output_range": form.target_range,
        }

    def scheduled(self, mlp: "MLP", total_steps: int) -> "MLP":
        """Return the network, whose dropout decreases from half of the training on."""
        if callable(mlp.dropout) or not mlp.dropout:
            return mlp
        return replace(mlp, dropout=FlatCosine(mlp.dropout, total_steps=total_steps))

    def with_factors(
        self, optimizer: AnyOptimizer, names: Set[str], total_steps: int
    ) -> AnyOptimizer:
        """See `Recipe`; a penalty becomes decay of all but the biases by schedule."""
        if not isinstance(optimizer, L2):
            return super().with_factors(optimizer, names, total_steps)
        inner = super().with_factors(optimizer.optimizer, names, total_steps)
        if not isinstance(inner, RateFactors):
            return optimizer.replaced(optimizer=inner)
        decays = {name: factor * factor for name, factor in self.rate_factors.items()}
        decays |= {"W": 1.0, "category_E": 1.0}
        decays = {name: factor for name, factor in decays.items() if name in names and name != "b"}
        decay = FlatCosine(optimizer.weight_decay, total_steps=total_steps)
        return DecayFactors(inner, decay, decays)


@dataclass(frozen=True)
class TabMMiniRecipe(TableRecipe):
    """TabM-mini with piecewise-linear embeddings.

    Gorishniy, Kotelnikov, Babenko, "TabM" (ICLR 2025), with the package's defaults: hidden layers
    of 512, two where numbers have embeddings, three without; AdamW with clipped gradients.  Only
    the bins are other ones: quantiles of distinct values.

    Parameters
    ----------
    members : int, default 32
    own_batches : bool, default False
        As in `TabMMini`.
    """

    members: PositiveCount = 32
    own_batches: Flag = False
    ensemble: ClassVar[str] = "TabMMini"
    scaling: ClassVar[str | None] = "quantile"
    bins: ClassVar[int] = 48

    def values(self, facts: Facts) -> Values:
        """See `Recipe`."""
        return {
            "hidden": (512,) * (2 if facts.has_edges else 3),
            "activation": "relu",
            "dropout": 0.1,
            "label_smoothing": 0.0,
            "optimizer": "adamw",
            "learning_rate": 2e-3,
            "weight_decay": 3e-4,
            "clip_norm": 1.0,
            "batch_size": 256,
            "epochs": 256,
            "early_stopping": 16 if facts.validates else None,
        }

    def usual_members(self, rows: int, optimizer: str) -> int | None:
        """See `Recipe`."""
        return self.members

    def parts(self, form: TableForm) -> Values:
        """See `Recipe`."""
        from pluggable_mlp.network import members
        from pluggable_mlp.network.embeddings import PiecewiseLinear

        scaling, kind = "normal" if form.edges else "signs", getattr(members, self.ensemble)
        return {
            "initializer": "inverse_sqrt_uniform",
            "embedding": PiecewiseLinear(form.edges) if form.edges else None,
            "ensemble": kind(self.members, scaling, form.blocks, self.own_batches),
        }


class TabMRecipe(TabMMiniRecipe):
    """TabM with piecewise-linear embeddings, otherwise like `TabMMiniRecipe`."""

    ensemble: ClassVar[str] = "TabM"


NONE = "none"
RECIPES: dict[str, Recipe] = {
    "realmlp-td-s": RealMLP(),
    "realmlp-td": RealMLPWhole(),
    "tabm-mini": TabMMiniRecipe(),
    "tabm": TabMRecipe(),
    NONE: Recipe(),
}
"""The recipes by name."""

DEFAULT = "realmlp-td-s"
"""The recipe of tables by default."""
