"""Verifying a certificate: another machine trains again, and every bit is compared.

The run has the settings of the certificate, on any backend.  The hashes of the tensors and the
epochs are compared as they come, to stop at the first difference; in the end the certificate of the
repeated run must be the same.
"""

import json
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from pluggable_mlp.backends import Backend
from pluggable_mlp.fields import PositiveCount
from pluggable_mlp.files import Json, blame, json_sha256, read_json, to_json
from pluggable_mlp.files.hashing import HASH_DIGITS, tensor_names
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan
from pluggable_mlp.runs.certificates import certificate_of, certify_epoch
from pluggable_mlp.runs.predict import load_run
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import at_place, check_format, load_own_data, read_history
from pluggable_mlp.training.divergence import DivergenceError

_OF_MACHINE = (
    "seconds",
    "examples_per_second",
    "versions",
    "backend",
    "device",
    "processes",
    "config_sha256",  # of a path of the data, too
)


class _Certified(TypedDict):
    """The content of an epoch in a certificate."""

    epoch: PositiveCount
    train_loss: NotRequired[str]
    parameters_sha256: str


class _Certificate(TypedDict):
    """The least that a certificate holds."""

    format: int
    made_on: str
    settings: Json
    data_sha256: str
    initial_parameters_sha256: str
    final_parameters_sha256: str
    epochs: Annotated[list[_Certified], Meta(min_length=1)]
    record_every: PositiveCount
    records: dict[str, str]


def read_certificate(path: Path) -> tuple[Json, Options]:
    """Return a certificate and its settings.

    Raises
    ------
    ValueError
        If the file cannot be read, is not a certificate, or was changed.
    """
    content = read_json(path, "the certificate.json that train --output writes")
    with blame(path, "is not a certificate of a run"):
        check_format(content["format"])
        stated = content.pop("sha256")
    with blame(path):
        if json_sha256(content) != stated:
            raise ValueError(
                "its contents do not match its SHA-256, so it was edited; the run itself may be "
                "fine: take the file that train wrote"
            )
        msgspec.convert(content, _Certificate)
        return content, Options(**content["settings"])


class Verification:
    """The run of a certificate, to be trained again and compared.

    The preparation is fitted again, because everything certified follows from the data and the
    settings alone; `check_files` compares it with the saved one.

    Parameters
    ----------
    certificate, options
        From `read_certificate`.
    backend : Backend
    data, test : str, optional
        Where the data are now; by default where they were.

    Attributes
    ----------
    run : Run
        The repeated run.
    here : str
        Where it is repeated, in words.

    Raises
    ------
    ValueError
        If the data cannot be read or have changed.
    """

    def __init__(
        self,
        certificate: Json,
        options: Options,
        backend: Backend,
        data: str | None = None,
        test: str | None = None,
    ) -> None:
        options = at_place(options, data, test)
        dataset = load_own_data(options, certificate["data_sha256"])
        plan = Plan.read(options, dataset.fitted_preparation)
        self.run: Run = Run(plan, dataset, backend)
        self.run.record_every = certificate["record_every"]
        self.here: str = f"{backend.name} ({backend.device}) in {options.arithmetic} arithmetic"
        self._certificate = certificate
        self._epochs = {epoch["epoch"]: epoch for epoch in certificate["epochs"]}
        self._last = max(self._epochs)
        self._same = 0  # the last step after which all tensors are the same
        self._written: dict[str, Json] = {}  # lines of files, by their places

    def check_files(self, folder: Path) -> None:
        """Check the files in the folder of the run, apart from measures, before it is repeated.

        Raises
        ------
        ValueError
            If a file cannot be read, was edited or belongs to another run.
        """
        saved, metrics = load_run(folder, self.run.backend), folder / "metrics.jsonl"
        history = read_history(metrics)
        if len(history) != self._last:
            fault = f"{metrics} has {len(history)} epochs, expected {self._last} as certified"
            raise ValueError(fault)
        config = self.run.config | {"settings": self._certificate["settings"]}
        for name in ("header", "encoding", "decimal"):  # moved data may have another format
            config[name] = saved.config[name]
        if json_sha256(saved.config) != json_sha256(config):
            raise ValueError(f"{folder / 'config.json'} is not what was certified")
        self._written = {f"{metrics}, epoch {line['epoch']}": line for line in history}
        self._written[str(folder / "summary.json")] = saved.summary

    def first_difference(self, on_batch: Callable[[int], None]) -> str | None:
        """Train again, to the end or to the first difference, and return it in words.

        After each call of steps, `on_batch` receives the number of examples visited.  A repetition
        that diverges differs, since certified epochs did not diverge.  Finally the measures in the
        files of `check_files` are compared, but not times and the machine.
        """
        name = "initial_parameters_sha256"
        original, repeat = self._certificate[name], self.run.initial_parameters_sha256
        if original != repeat:
            return self._in_words(f"epoch 0, {name}", original, repeat)
        try:
            for progress in self.run.train():
                on_batch(progress.count)
                difference = self._difference_of_steps()
                if difference is None and progress.ended:
                    difference = self._difference_of_epoch(self.run.history[-1])
                if difference is not None:
                    return difference
                if len(self.run.history) >= self._last:
                    break
        except DivergenceError as error:
            place, cause = f"epoch {error.epoch}, parameters_sha256", f"none, as {error.found}"
            return self._difference_of_steps() or self._in_words(place, "finite", cause)
        again = certificate_of(self.run, self._certificate["settings"])
        for name, value in again.items():
            original = self._certificate.get(name)
            if name not in ("made_on", "sha256") and original != value:
                place = f"epoch {self.run.kept_epoch}, {name}"
                return self._in_words(place, f"{original!s:.80}", f"{value!s:.80}")
        return self._difference_of_measures()

    def _difference_of_steps(self) -> str | None:
        """Return the first difference among the hashes recorded since the last call."""
        names, records = tensor_names(self.run.parameters), self._certificate["records"]
        for t in [t for t in self.run.records if t > self._same]:
            hashes = zip_longest(*map(_cut, (records.get(str(t), ""), self.run.records[t])))
            pairs = zip(names, hashes, strict=False)
            differences = [(name, pair) for name, pair in pairs if pair[0] != pair[1]]
            if differences:
                tensor, pair = differences[0]
                layer, _, name = tensor.partition(".")
                count = len(differences)
                more = f" (the first of {count} tensors)" if count > 1 else ""
                return self._in_words(f"step {t}, layer {layer}, tensor {name}{more}", *pair)
            self._same = t
        return None

    def _difference_of_epoch(self, line: Json) -> str | None:
        line_here = certify_epoch(line)
        expected = self._epochs.get(line["epoch"], line_here)
        wrong = next((name for name in expected if expected[name] != line_here.get(name)), None)
        if wrong is None:
            return None
        place = f"epoch {line['epoch']}, {wrong}"
        return self._in_words(place, expected[wrong], line_here.get(wrong, "none"))

    def _in_words(
        self, place: str, original: object, repeat: object, source: str = "certified"
    ) -> str:
        same = f"; step {self._same} is the same" if self._same else ""
        return f"the run differs at {place}: {source} {original}, on {self.here} {repeat}{same}"

    def _difference_of_measures(self) -> str | None:
        """Return where metrics.jsonl or summary.json differ from the repeated run, if anywhere."""
        repeated = [*self.run.history, self.run.summary()]
        for (place, line), line_here in zip(self._written.items(), repeated, strict=False):
            original, repeat = (json.loads(to_json(values)) for values in (line, line_here))
            for name, value in repeat.items():
                if name not in _OF_MACHINE and original.get(name) != value:
                    pair = repr(original.get(name)), repr(value)
                    return self._in_words(f"{place}, {name}", *pair, "written")
        return None


def _cut(hashes: str) -> list[str]:
    """Return the hashes of single tensors."""
    return [hashes[at : at + HASH_DIGITS] for at in range(0, len(hashes), HASH_DIGITS)]
