"""Fill the pages with what they must not repeat by hand: measured figures, options and commands.

`python docs/include.py` rewrites all between `<!-- begin NAME -->` and `<!-- end NAME -->` in
README.md, in the notes in benchmarks/ and in the pages in the folders beside this script: the
table of that name, made of the figures that `python benchmarks/run.py` recorded; `options` is that
of the settings of a run, `commands` what each command takes besides, `components` the names in the
public tables, `launches` the table of `python -m tests.launches`, `all-float32` that of
`python ci/all_float32.py`, `scores` that of `python benchmarks/scores.py`, `mean-scores` its means.

With `--check` it writes nothing; it names the pages that are out of date and exits with 1.
Prose belongs in the pages.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package benchmarks

import pluggable_mlp
from benchmarks.score_table import mean_scores, results_of, score_table
from benchmarks.tables import RESULTS, recorded_tables
from pluggable_mlp.cli.app import program
from pluggable_mlp.options import Options

__all__ = ["PAGES", "rendered"]

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("benchmarks/*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]

MEASURED = re.compile(
    r"(?P<begin><!-- begin (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end (?P=name) -->)", re.DOTALL
)
_SCORED = ["realmlp-td-s", "trees", "mlp"]
_SCORES = (
    "mean score on nine tables of our `TableClassifier` and `TableRegressor`, of scikit-learn's "
    "boosted trees, and of its MLP, all with their defaults"
)
_NOT_YET = "Not measured yet: `python benchmarks/run.py` does it."


def rendered(page: str) -> str:
    """Return the text of a page with every marked part made anew."""
    tables, scores = recorded_tables(), results_of(RESULTS / "scores.jsonl")
    tables |= {
        "numbers": tables.get("numbers", "") + f"\n| {_SCORES} | {mean_scores(scores, _SCORED)} |",
        "options": _options(),
        "commands": _commands(),
        "components": _components(),
        "launches": _launches(),
        "all-float32": _all_float32(),
        "scores": score_table(scores),
        "mean-scores": score_table(scores, sets=False),
    }
    return MEASURED.sub(
        lambda found: found["begin"] + tables.get(found["name"], _NOT_YET) + "\n" + found["end"],
        page,
    )


def _options() -> str:
    """Return the table of the options that are settings."""
    rows = [
        f"| `--{field.name.replace('_', '-')}` | {get_args(field.type)[-1]}{_default(field)} |"
        for field in fields(Options)
    ]
    return "\n".join(["| Option | Meaning |", "| --- | --- |", *rows])


def _commands() -> str:
    """Return a section for each command: its purpose, arguments and options but the settings."""
    settings = {get_args(field.type)[-1] for field in fields(Options)}
    sections = []
    for name, command in program.commands.items():
        own = [one for one in command.params if one.help not in settings and one.name != "help"]
        purpose = inspect.cleandoc(command.help or "")
        if len(own) < len(command.params) - 1:
            purpose += "  It takes [options](#options) of training, too."
        rows = [f"| {_name(one)} | {_help(one)} |" for one in own]
        table = ["| Argument or option | Meaning |", "| --- | --- |", *rows] if rows else []
        sections.append("\n".join([f"### {name}", "", purpose, "", *table]).rstrip())
    return "\n\n".join(sections)


def _name(parameter: Any) -> str:
    """Return an argument as `RUN`, an option as `--name`."""
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).strip('{}').upper()}`"
    return ", ".join(f"`{one}`" for one in parameter.opts)


def _help(parameter: Any) -> str:
    """Return the meaning of an argument or an option, and its default."""
    meaning = " ".join((parameter.help or "").split())
    return f"{meaning}  Default: `{parameter.default}`." if parameter.default else meaning


def _components() -> str:
    """Return the table of the names that the public tables have."""
    tables = {
        name: getattr(pluggable_mlp, name)
        for name in pluggable_mlp.__all__
        if isinstance(getattr(pluggable_mlp, name), Mapping)
    }
    rows = [f"| `{name}` | {', '.join(f'`{one}`' for one in of)} |" for name, of in tables.items()]
    return "\n".join(["| Table | Names |", "| --- | --- |", *rows])


def _launches() -> str:
    """Return the table of the launches and waits of a step."""
    counted = json.loads((ROOT / "tests/launches.json").read_text(encoding="utf-8"))
    lines = [
        "| Network | Optimizer | Arithmetic | Launches | Waits |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, counts in counted.items():
        lines.append(f"| {' | '.join([*name.split(', '), *map(str, counts)])} |")
    return "\n".join(lines)


def _all_float32() -> str:
    """Return the table of the elementary functions on all float32 numbers."""
    record = json.loads((ROOT / "ci/all_float32.json").read_text(encoding="utf-8"))
    lines = [
        "| Function | Largest error | At | Not correctly rounded | Smaller than the one before "
        "| At 0, ∞, -∞ |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in record["functions"].items():
        at = f"{float.fromhex(found['at']):.9g}" if found["at"] else ""
        wrong = found["not_correctly_rounded"]
        share = f"{wrong:,} ({wrong / found['results']:.2g})" if wrong else "0"
        special = ", ".join(found["special"][x] for x in ("0", "inf", "-inf"))
        special = special.replace("inf", "∞").replace("nan", "NaN")
        lines.append(
            f"| `{name}` | {found['largest_error']:.9g} | {at} | {share} "
            f"| {found['decreases']:,} | {special} |"
        )
    return "\n".join(lines)


def _default(field: Any) -> str:
    """Return a default as the command line has it; nothing if the meaning says it."""
    if field.default is None:
        return ""
    return f"  Default: `{field.default}`."


def main() -> int:
    """Rewrite the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description="Fill the pages with figures and options.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")
    check = parser.parse_args().check
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = rendered(text)
        if new != text:
            stale.append(page.relative_to(ROOT))
            if not check:
                page.write_text(new, encoding="utf-8")
    for page in stale:
        print(f"{page} {'is out of date: run python docs/include.py' if check else 'rewritten'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
