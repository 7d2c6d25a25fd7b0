"""Where the numbers of figures come from: arrays of any library, fitted estimators, runs."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import get_backend
from pluggable_mlp.lazy import on_host
from pluggable_mlp.runs.predict import SavedRun, load_run
from pluggable_mlp.runs.saved import read_history

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pluggable_mlp.runs.run import Run

AnyRun: TypeAlias = "Run | SavedRun | str | PathLike[str]"


def pair_on_host(y_true: Array, y_pred: Array) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Return targets and predictions as NumPy's, (examples,); columns become flat.

    Raises
    ------
    ValueError
        If the shapes differ, or are of several outputs.
    """
    t, y = (on_host(of) for of in (y_true, y_pred))
    t, y = (of[:, 0] if of.ndim == 2 and of.shape[1] == 1 else of for of in (t, y))
    if t.ndim != 1 or t.shape != y.shape or not len(t):
        raise ValueError(
            f"y_true has the shape {t.shape} and y_pred {y.shape}, expected (examples,) of both: "
            "give one output at a time"
        )
    return t, y


def fitted(estimator: Any, attribute: str, remedy: str) -> Any:
    """Return an attribute of a fitted estimator.

    Raises
    ------
    TypeError
        If it has none, or an empty one.
    """
    value = getattr(estimator, attribute, None)
    if not value:
        raise TypeError(f"estimator is {str(estimator)[:80]}, without {attribute}: {remedy}")
    return value


def open_run(run: AnyRun) -> SavedRun:
    """Return a run with its parameters: a folder's are read for NumPy."""
    from pluggable_mlp.runs.run import Run  # with all that training takes

    if isinstance(run, SavedRun):
        return run
    if isinstance(run, Run):
        return SavedRun(
            run.config,
            run.settings,
            run.preparation,
            run.mlp,
            run.parameters,
            run.backend,
            dataset=run.dataset,
        )
    return load_run(_folder(run), get_backend("numpy"))


def history_of(run: AnyRun) -> dict[str, list[float | None]]:
    """Return the losses and scores of each epoch of a run, by their names.

    Raises
    ------
    ValueError
        If it has no epoch, or its file is damaged.
    """
    from pluggable_mlp.runs.run import Run  # with all that training takes

    if isinstance(run, Run):
        lines, where = run.history, "run"
    else:
        folder = _folder(run.folder if isinstance(run, SavedRun) else run)
        file = folder / "metrics.jsonl"
        lines, where = read_history(file), str(file)
    if not lines:
        raise ValueError(f"{where} has no epoch; train first")
    curves = [key for key in lines[0] if key.startswith(("train_", "validation_"))]
    return {key: [line[key] for line in lines] for key in curves}


def predicted_test_part(run: SavedRun, data: str | None) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Return the targets of a run's test part, and `SavedRun.answers_on_test_part`.

    Raises
    ------
    ValueError, DataError
        If it has no test part, or the data are not there or have changed.
    """
    if run.settings.test_share == 0:
        raise ValueError("the run has no test part: test_share is 0")
    answers, targets = run.answers_on_test_part(data)
    return targets, answers


def _folder(run: object) -> Path:
    if not isinstance(run, str | PathLike):
        raise TypeError(f"run is {run!r:.80}, expected a run, or the folder of one")
    return Path(run)
