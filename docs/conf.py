"""The documentation site: `python -m sphinx -W docs build/site` builds it, without a network.

The pages are Markdown in the four folders of Diátaxis; what they show of the code comes from
`docs/include.py`, the reference of the public names from the docstrings.  The figure that a
block of Python draws below `<!-- plot: WHAT IT SHOWS -->` follows it; the blocks so marked on a
page belong together.  `docs/notebooks.py` makes notebooks of the tutorials.
"""

import itertools
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, not a wheel
sys.path.insert(0, str(Path(__file__).resolve().parent))  # to find notebooks.py

import pluggable_mlp

project = "pluggable-mlp"
author = copyright = "The pluggable-mlp developers"
release = version = pluggable_mlp.__version__

extensions = [
    "myst_parser",
    "notebooks",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
shutil.rmtree(Path(__file__).parent / "reference/generated", ignore_errors=True)  # of names gone
exclude_patterns = ["static", "templates"]
templates_path = ["templates"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4  # GitHub's anchors: a link to a heading that is gone fails the build
default_role = "code"  # `x` in a docstring is code
numpydoc_show_class_members = False  # the template of a class lists them
# What numpydoc finds in the docstrings of the public names fails the build; all but:
numpydoc_validation_checks = {
    "all",
    "ES01",  # a summary may say all
    "EX01", "SA01",  # classes and functions have both, as a test checks; methods need neither
    "PR01", "RT01",  # components implement interfaces, which describe arguments and results once
    "PR04",  # methods refer to `fit` for the types of what they take, too
    "PR08", "SS02", "SS03",  # a description may begin or end with a formula
    "RT02", "RT03", "RT04",  # "self", and results whose name or summary says what they are
    "SA04",  # names that say what they are
}  # fmt: skip
numpydoc_validation_exclude = {
    r"\.load_dataset$",  # its **options are described by name (PR02)
    r"\.slots$",  # the comment of an attribute, on one line (GL02)
}
autodoc_typehints = "none"  # the docstrings say what the arguments are
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "pluggable-mlp"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_sidebars = {"index": []}  # room for the examples
html_theme_options = {
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "navigation_with_keys": False,
}

# Pages outside docs/, and those of the site that include them.
_INCLUDING = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
_INCLUDED = re.compile(rf"\]\((?:\.\./)+({'|'.join(_INCLUDING)})")
_NOTES = re.compile(r"\]\(((?:\.\./)+benchmarks/\w+\.md)[^)]*\)")


def _change_links(*event: Any) -> None:
    """Change a page, the last of the arguments, whose links leave docs/ for a text.

    They lead to the page that includes it; notes on measurements are files to load, as code is.
    """
    source = event[-1]
    source[0] = _INCLUDED.sub(lambda found: f"](/{_INCLUDING[found[1]]}", source[0])
    source[0] = _NOTES.sub(r"](path:\1)", source[0])


mpl.use("agg")
FIGURES = Path(__file__).resolve().parent / "images/drawn"
FIGURES.mkdir(exist_ok=True)
_TO_DRAW = re.compile(
    r"^<!-- plot: (?P<words>.*?) -->\n(?P<block>```python\n(?P<code>.*?)^```$)",
    re.DOTALL | re.MULTILINE,
)


def _draw(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add the figures of the blocks of Python in a page that are to be drawn."""
    names: dict[str, Any] = {"__name__": "page"}
    numbers = itertools.count(1)

    def with_figure(found: re.Match[str]) -> str:
        exec(compile(found["code"], page, "exec"), names)
        file = f"{page.replace('/', '-')}-{next(numbers)}.png"
        plt.savefig(FIGURES / file, dpi=120)
        plt.close("all")
        return f"{found['block']}\n\n![{' '.join(found['words'].split())}](/images/drawn/{file})"

    source[0] = _TO_DRAW.sub(with_figure, source[0])


_CODE = re.compile(r"(`[^`]*`|^ *(?:>>>|\.\.\.).*)")
_MARKUP = re.compile(r"\||(?<=\w)_(?!\w)")


def _as_restructured_text(*event: Any) -> None:
    """Change a docstring, the last of the arguments, which is plain text but for its sections.

    An indented block of the description is a formula, and stays as it is; elsewhere |x| and names
    such as classes_ would be markup.
    """
    lines: list[str] = event[-1]
    underlined = [i for i, line in enumerate(lines) if re.fullmatch("-{3,}", line)]
    end_of_description = underlined[0] - 1 if underlined else len(lines)
    result = []
    in_formula = False
    for i, line in enumerate(lines):
        indented = i < end_of_description and line.startswith("    ")
        if indented and not in_formula and not lines[i - 1]:
            result += [".. code-block:: text", ""]
            in_formula = True
        elif line and not indented:
            in_formula = False
        parts = _CODE.split(line)
        parts[::2] = [part if in_formula else _MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
        result.append("".join(parts))
    lines[:] = result


def _skip_members_of_scikit_learn(*event: Any) -> bool | None:
    """Leave out what the estimators inherit from scikit-learn."""
    inherited = (getattr(event[3], "__module__", None) or "").startswith("sklearn")
    return True if inherited else None


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Render mathematics as MathML, which browsers draw without a script."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=0)  # before numpydoc
    app.connect("autodoc-skip-member", _skip_members_of_scikit_learn)
    app.connect("source-read", _change_links)
    app.connect("source-read", _draw)
