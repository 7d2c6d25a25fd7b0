"""The certificate of a fit: what was computed of what, for another machine to be held to it.

It is a dict that JSON can hold, with SHA-256 hashes of the data and of the fitted parameters, the
estimator's parameters, the count of iterations and the loss of each (of lbfgs that of the last), a
C99 hexadecimal number.  A fit with the same data and parameters has an equal one wherever
`arithmetic="reproducible"` computes; only `made_on` differs.
"""

from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray

from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.saving import COMPONENTS, parameters_to_save
from pluggable_mlp.estimators.validation import place_of
from pluggable_mlp.hashing import parameters_sha256, sha256_of
from pluggable_mlp.lazy import LazyArray, blocks, on_host
from pluggable_mlp.serialization import tree_from_json, tree_to_json
from pluggable_mlp.training.trees import Tree

FORMAT = 1
_OF_THE_MACHINE = ("backend", "communicator", "device", "verbose", "progress_bar")
_OWN = "of_your_own"


def certify(estimator: Any, data: list[Any], place: Backend, parameters: Tree) -> dict[str, Any]:
    """Return the certificate of a fit that has ended.

    Parameters
    ----------
    estimator
    data : list of array or LazyArray
        What it was fitted on: inputs, targets and, where there are any, weights of examples.
    place : Backend
        Where it was trained.
    parameters : list of dict of arrays
        The fitted ones, of the library of the data.
    """
    settings = {name: _named(name, of) for name, of in parameters_to_save(estimator).items()}
    versions = ", ".join(f"{name} {number}" for name, number in place.versions().items())
    processes = 1 if estimator.communicator is None else estimator.communicator.size
    on_several = f", {processes} processes" if processes > 1 else ""
    # L-BFGS has the last alone.
    losses = getattr(estimator, "loss_curve_", None) or [estimator.loss_]
    return {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "made_on": f"{place.name} ({place.device}), {versions}{on_several}",
        "parameters": {name: settings[name] for name in settings if name not in _OF_THE_MACHINE},
        "data_sha256": sha256_of(part for of in data for part in _to_hash(of)),
        "iterations": estimator.n_iter_,
        "losses": [float(loss).hex() for loss in losses],
        "parameters_sha256": parameters_sha256(parameters, place_of(data[0])),
    }


def _to_hash(data: Any) -> Iterator[str | NDArray[Any]]:
    """Yield the dtype and the shape of an array, then its values, of a lazy one in blocks."""
    rows = data if isinstance(data, LazyArray) else on_host(data)
    yield repr((rows.dtype.name, rows.shape))
    yield from blocks(rows)


def _named(name: str, value: Any) -> Any:
    """Return a parameter as JSON, or the name of what JSON cannot hold."""
    try:
        return tree_to_json(value, COMPONENTS, place=name)
    except ValueError:
        return {_OWN: getattr(value, "__qualname__", type(value).__qualname__)}


def repeated(kind: Any, certificate: dict[str, Any]) -> Any:
    """Return an estimator whose fit repeats that of a certificate.

    Raises
    ------
    ValueError
        If the certificate is none of this kind of estimator, or its fit cannot be repeated.
    """
    expected = kind.__name__, FORMAT, True
    try:
        parameters = dict(certificate["parameters"])
        whole = len(certificate["losses"]) in (1, certificate["iterations"])
        found = certificate["estimator"], certificate["format"], whole
    except (KeyError, TypeError):
        found = None
    if found != expected:
        raise ValueError(
            f"certificate is {str(certificate)[:80]}, expected the certificate_ of {kind.__name__}"
        )
    own = set(kind._get_param_names()).difference(_OF_THE_MACHINE)
    faults = {"unknown": set(parameters) - own, "missing": own - set(parameters)}
    named = [f"{fault} are {', '.join(sorted(of))}" for fault, of in faults.items() if of]
    if named:
        raise ValueError(
            f"the certificate's parameters are not those of this {kind.__name__}: "
            f"{'; '.join(named)}; verify with the version that it was made with"
        )
    if parameters.get("random_state") is None:
        raise ValueError("the fit had no int as random_state: its random numbers are not known")
    for name, value in parameters.items():
        if isinstance(value, dict) and _OWN in value:
            raise ValueError(
                f"the fit's {name} was {value[_OWN]!r}, of which a certificate has but the name: "
                "fit with it, and compare the certificates"
            )
    return kind(**tree_from_json(parameters, COMPONENTS))


def ends_of(certificate: dict[str, Any]) -> Callable[[Any], bool]:
    """Return a callback that ends a fit at its first difference from that of a certificate."""
    iterations, losses = certificate["iterations"], certificate["losses"]

    def ended(model: Any) -> bool:
        n = model.n_iter_
        return n >= iterations or (len(losses) > 1 and losses[n - 1] != float(model.loss_).hex())

    return ended


def refuse_differences(certified: dict[str, Any], computed: dict[str, Any]) -> None:
    """Raise a ValueError that names the first difference of two certificates."""
    if certified["data_sha256"] != computed["data_sha256"]:
        raise ValueError(
            f"X, y or sample_weight are not those of the certificate: their SHA-256 is "
            f"{computed['data_sha256']}, the certified one {certified['data_sha256']}"
        )
    last = computed["iterations"]
    for name in ("losses", "iterations", "parameters_sha256"):
        ours, theirs = computed[name], certified[name]
        if name == "losses":
            ours, theirs = ours[-1], theirs[min(len(ours), len(theirs)) - 1]
        if ours != theirs:
            raise ValueError(
                f"{name} differ at iteration {last}: certified {theirs}, computed {ours}"
            )
