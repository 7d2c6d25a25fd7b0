"""The notebooks of the tutorials, which are made when the site is built, run in a kernel."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from tests.docs.output import shows

ROOT = Path(__file__).parents[2]
NAMES = sorted({page.stem for page in ROOT.glob("docs/tutorials/*.md")} - {"index"})


@pytest.fixture(scope="module")
def notebooks():
    pytest.importorskip("jupytext")
    specification = importlib.util.spec_from_file_location("notebooks", ROOT / "docs/notebooks.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_tutorial_runs_as_a_notebook(notebooks, name, tmp_path, monkeypatch):
    """In an empty folder, from the first cell to the last; each prints what the page shows below.

    A command that fails, or a statement that raises, stops the notebook.
    """
    for package in ("ipykernel", "matplotlib", "polars"):
        pytest.importorskip(package)
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "jupyter"))
    (tmp_path / "empty").mkdir()
    notebook = notebooks.notebook_of(ROOT / f"docs/tutorials/{name}.md")
    resources = {"metadata": {"path": tmp_path / "empty"}}
    client.NotebookClient(notebook, timeout=300, resources=resources).execute()
    printed = ""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            printed = "".join(output.get("text", "") for output in cell.outputs)
        else:
            for shown in re.findall(r"^```text\n(.*?)^```$", cell.source, re.DOTALL | re.M):
                assert shows(shown, printed), printed


def test_a_notebook_needs_no_other_file(notebooks, tmp_path):
    """Images are in it, and links lead to the web alone; the installation is left as text."""
    (tmp_path / "pixel.png").write_bytes(b"\x89PNG")
    (tmp_path / "page.md").write_text(
        "# Title\n\n"
        "![a pixel](pixel.png), [`a` page](../other.md#part), [the web](https://example.org)\n\n"
        "```sh .noeval\npython -m pip install this\n```\n\n"
        "```sh\necho 1 \\\n  2\necho 3\n```\n\n"
        "```text\n1 2\n```\n\n"
        "```python\nprint(1)\n```\n"
    )
    text, shell, shown, python = notebooks.notebook_of(tmp_path / "page.md").cells
    assert text.source == (
        "# Title\n\n"
        "![a pixel](attachment:pixel.png), `a` page, [the web](https://example.org)\n\n"
        "```sh .noeval\npython -m pip install this\n```"
    )
    assert text.attachments == {"pixel.png": {"image/png": "iVBORw=="}}
    assert (shell.cell_type, shell.source) == ("code", "%%sh\necho 1 \\\n  2\necho 3")
    assert (shown.cell_type, shown.source) == ("markdown", "```text\n1 2\n```")
    assert (python.cell_type, python.source) == ("code", "print(1)")


class Application:
    """Sphinx, as far as the extension calls it: `handlers` has what is called at each event."""

    def __init__(self):
        self.handlers = {}

    def connect(self, event, handler):
        self.handlers[event] = handler


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_tutorial_has_its_notebook_below_the_title(notebooks, name):
    app = Application()
    notebooks.setup(app)
    source, other = ["# Title\n\nText\n"], ["# Title\n\nText\n"]
    app.handlers["source-read"](app, f"tutorials/{name}", source)
    app.handlers["source-read"](app, "tutorials/index", other)
    link = f"{{download}}`Download this page as a notebook <{name}.ipynb>`"
    assert source == [f"# Title\n\n{link}\n\nText\n"]
    assert other == ["# Title\n\nText\n"]
