"""Fill the pages with what they must not repeat by hand: source code and measured figures.

`python docs/include.py` rewrites, in README.md and in the pages beside this script,

- the block of code after `<!-- include: FILE NAME … -->`: the functions, classes, methods
  (`Class.method`) or constants of these names, as FILE has them, without their docstrings;
- all between `<!-- begin price -->` and `<!-- end price -->`: the table of
  benchmarks/results/reproducible_price.json.

With `--check` it writes nothing; it names the pages that are out of date and exits with 1.
Prose belongs in the pages.
"""

import argparse
import ast
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["INCLUDED", "PAGES", "price_table", "rendered", "source_of"]

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PRICE = ROOT / "benchmarks" / "results" / "reproducible_price.json"

INCLUDED = re.compile(
    r"(?P<marker><!-- include: (?P<file>\S+) (?P<names>[^>]+) -->\n)(```python\n.*?^```\n)?",
    re.DOTALL | re.MULTILINE,
)
_PRICED = re.compile(r"(<!-- begin price -->\n).*?(<!-- end price -->)", re.DOTALL)

# Of the price table: heading, and how a case fills it.
_COLUMNS = {
    "backend": "{backend}",
    "batch": "{batch}",
    "network": "{network}",
    "data": "{data}",
    "dtype": "{dtype}",
    "native, ms a step": "{native_ms:.2f}",
    "reproducible, ms a step": "{reproducible_ms:.2f}",
    "times native": "{ratio:.1f}",
    "peak memory, times native": "{peak_memory_ratio:.2f}",
}


def rendered(page: str) -> str:
    """Return the text of a page with every marked part made anew.

    Raises
    ------
    ValueError
        If a marker names a file or a definition that does not exist.
    """
    page = INCLUDED.sub(lambda found: found["marker"] + _block(found["file"], found["names"]), page)
    return _PRICED.sub(lambda found: found[1] + price_table() + found[2], page)


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


def price_table() -> str:
    """Return what reproducible training costs, as a Markdown table, from the recorded figures."""
    if not PRICE.is_file():
        return f"Not measured yet: there is no `{PRICE.relative_to(ROOT)}`.\n"
    recorded = json.loads(PRICE.read_text(encoding="utf-8"))
    rows = [list(_COLUMNS), ["---"] * len(_COLUMNS)]
    rows += [[cell.format(**case) for cell in _COLUMNS.values()] for case in recorded["cases"]]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    machine = ", ".join(f"{key} {value}" for key, value in recorded["machine"].items())
    return f"{table}\nMeasured on: {machine}.\n"


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
