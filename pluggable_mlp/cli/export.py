"""`pluggable-mlp export`: a saved run as a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from pluggable_mlp.cli.options import RunArgument, path
from pluggable_mlp.cli.streams import tell

__all__ = ["export"]


def export(
    run: RunArgument,
    output: Annotated[
        Path, typer.Option(help="The ONNX file to write.", parser=path)
    ] = "model.onnx",  # type: ignore[assignment]
) -> None:
    """Write a saved run as an ONNX graph, which takes rows as their file holds them.

    Its outputs are label and probabilities, or prediction; its inputs are listed on standard error.
    """
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.exporting import need_ndonnx, write_onnx
    from pluggable_mlp.saved_runs import load_run

    need_ndonnx()
    saved = load_run(run, get_backend("numpy"))
    tell("Recording the graph; the libraries for it take some seconds to load.")
    try:
        inputs = write_onnx(saved, output)
    except OSError as error:
        raise ValueError(f"--output {output} cannot be written: {error.strerror}") from None
    for name, of in inputs.items():
        tell(f"input {name}: {of}")
    typer.echo(output)
