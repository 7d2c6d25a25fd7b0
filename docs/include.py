"""Fill the pages with what they must not repeat by hand: source code and measured figures.

`python docs/include.py` rewrites, in README.md and in the pages in the folders beside this script,

- the block of code after `<!-- include: FILE NAME … -->`: the functions, classes, methods
  (`Class.method`) or constants of these names, as FILE has them, without their docstrings;
- all between `<!-- begin NAME -->` and `<!-- end NAME -->`: the table of that name, made of the
  figures that `python benchmarks/run.py` recorded; `options` is that of the settings of a run,
  `commands` what each command takes besides, `components` the names in the public tables,
  `launches` the table of `python -m tests.launches`, `all-float32` that of
  `python ci/all_float32.py`, `scores` that of `python benchmarks/scores.py`.

With `--check` it writes nothing; it names the pages that are out of date and exits with 1.
Prose belongs in the pages.
"""

import argparse
import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package benchmarks

import pluggable_mlp
from benchmarks.score_table import mean_scores, results_of, score_table
from benchmarks.tables import RESULTS, recorded_tables
from pluggable_mlp.cli.app import program
from pluggable_mlp.fields import Field, fields_of
from pluggable_mlp.settings import Settings

__all__ = ["INCLUDED", "PAGES", "rendered", "source_of"]

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

INCLUDED = re.compile(
    r"(?P<marker><!-- include: (?P<file>\S+) (?P<names>[^>]+) -->\n)(```python\n.*?^```\n)?",
    re.DOTALL | re.MULTILINE,
)
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
    """Return the text of a page with every marked part made anew.

    Raises
    ------
    ValueError
        If a marker names a file or a definition that does not exist.
    """
    page = INCLUDED.sub(lambda found: found["marker"] + _block(found["file"], found["names"]), page)
    tables, scores = recorded_tables(), results_of(RESULTS / "scores.jsonl")
    tables["numbers"] += f"\n| {_SCORES} | {mean_scores(scores, _SCORED)} |"
    tables |= {
        "options": _options(),
        "commands": _commands(),
        "components": _components(),
        "launches": _launches(),
        "all-float32": _all_float32(),
        "scores": score_table(scores),
    }
    return MEASURED.sub(
        lambda found: found["begin"] + tables.get(found["name"], _NOT_YET) + "\n" + found["end"],
        page,
    )


def _options() -> str:
    """Return the table of the options that are settings."""
    rows = [
        f"| `--{name.replace('_', '-')}` | {field.accepts} | {_default(field)} | {field.help} |"
        for name, field in fields_of(Settings).items()
    ]
    return "\n".join(["| Option | Value | Default | Meaning |", "| --- | --- | --- | --- |", *rows])


def _commands() -> str:
    """Return a section for each command: its purpose, arguments and options but the settings."""
    settings = {field.help for field in fields_of(Settings).values()}
    sections = []
    for name, command in program().commands.items():
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
    """Return the table of the nodes of a step's graph, and of its launches and waits."""
    counted = json.loads((ROOT / "tests/launches.json").read_text(encoding="utf-8"))
    lines = [
        "| Network | Optimizer | Arithmetic | Nodes of the graph | Launches | Waits |",
        "| --- | --- | --- | --- | --- | --- |",
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


def _default(field: Field) -> str:
    """Return a default as the command line has it; what the meaning says is left out."""
    if field.default is None:
        return ""
    return f"`{','.join(map(str, field.default)) if field.many else field.default}`"


def _block(file: str, names: str) -> str:
    path = ROOT / file
    if not path.is_file():
        raise ValueError(f"there is no {file} to include")
    text = path.read_text(encoding="utf-8")
    parts = [source_of(text, name, file) for name in names.split()]
    return "```python\n" + "\n".join(parts) + "```\n"


def source_of(text: str, name: str, file: str) -> str:
    """Return the lines of `text`, the source in `file`, that define `name`, without docstrings."""
    node: Any = ast.parse(text)
    for part in name.split("."):
        node = next((child for child in node.body if part in _defined(child)), None)
        if node is None:
            raise ValueError(f"{file} defines no {name} to include")
    lines = text.splitlines(keepends=True)
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    dropped = {number for one in ast.walk(node) for number in _docstring_lines(one, lines)}
    kept = [
        lines[number - 1] for number in range(first, node.end_lineno + 1) if number not in dropped
    ]
    return textwrap.dedent("".join(kept))


def _defined(node: ast.AST) -> set[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {one.id for target in targets for one in ast.walk(target) if hasattr(one, "id")}
    return set()


def _docstring_lines(node: ast.AST, lines: list[str]) -> Iterator[int]:
    """Yield the numbers of the docstring's lines and of the blank ones below; none if all it is."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or len(node.body) == 1:
        return
    if ast.get_docstring(node) is not None:
        number = node.body[0].lineno
        last = node.body[0].end_lineno or number
        while number <= last or not lines[number - 1].strip():
            yield number
            number += 1


def main() -> int:
    """Rewrite the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description="Fill the pages with code and figures.")
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
