"""The tutorials as Jupyter notebooks, made from their pages when the site is built.

As a Sphinx extension this writes a notebook beside each tutorial, and adds to the page a link that
downloads it.  Blocks of Python and of shell commands become cells that run, except those marked
`.noeval`, which install the library; all else stays text.  The pages are the only source.
"""

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["TUTORIALS", "notebook_of"]

TUTORIALS = [
    page for page in sorted(Path(__file__).parent.glob("tutorials/*.md")) if page.stem != "index"
]
_HEADER = """---
jupyter:
  kernelspec:
    display_name: Python 3
    language: python
    name: python3
---
"""
_INTO_THE_SITE = re.compile(r"(?P<image>!?)\[(?P<words>[^]]*)\]\((?!https://)(?P<target>[^)\s]+)\)")


def notebook_of(page: Path) -> Any:
    """Return the notebook of a Markdown page; a command that fails stops its cell with an error."""
    notebook = jupytext.reads(_HEADER + page.read_text("utf-8"), fmt="md")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # jupytext's are random
        if cell.cell_type == "markdown":
            _make_self_contained(cell, page.parent)
    return notebook


def _make_self_contained(cell: Any, folder: Path) -> None:
    """Attach the images of a cell of text, and leave only the words of links into the site."""
    attachments: dict[str, dict[str, str]] = {}

    def replaced(found: re.Match[str]) -> str:
        if not found["image"]:
            return found["words"]
        image = folder / found["target"]
        content = base64.b64encode(image.read_bytes()).decode("ascii")
        attachments[image.name] = {f"image/{image.suffix[1:]}": content}
        return f"![{found['words']}](attachment:{image.name})"

    cell.source = _INTO_THE_SITE.sub(replaced, cell.source)
    if attachments:
        cell.attachments = attachments


def _write_notebooks(_app: Any) -> None:
    for page in TUTORIALS:
        jupytext.write(notebook_of(page), page.with_suffix(".ipynb"))


def _add_link(_app: Any, page: str, source: list[str]) -> None:
    """Add the link below the title of a tutorial."""
    stem = page.removeprefix("tutorials/")
    if any(stem == one.stem for one in TUTORIALS):
        title, _, text = source[0].partition("\n")
        link = f"{{download}}`Download this page as a notebook <{stem}.ipynb>`"
        source[0] = f"{title}\n\n{link}\n{text}"


def setup(app: "Sphinx") -> dict[str, Any]:
    """Connect the extension to Sphinx."""
    app.connect("builder-inited", _write_notebooks)
    app.connect("source-read", _add_link)
    return {"parallel_read_safe": True}
