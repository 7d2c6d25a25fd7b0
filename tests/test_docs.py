"""The pages and the README: links, tests and commands that exist, examples that run.

docs/include.py fills the pages.  CI runs the two commands of the README.
"""

import ast
import doctest
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest
import typer

import pluggable_mlp.cli
from pluggable_mlp.backends import BackendUnavailable, get_backend
from pluggable_mlp.cli.app import program
from pluggable_mlp.data.mnist import PUBLISHED
from pluggable_mlp.fields import parse
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.feature_layers import NORMALIZATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.parameters import INITIALIZERS
from pluggable_mlp.options import Options
from pluggable_mlp.plan import refuse_unfit
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS
from pluggable_mlp.training.schedules import SCHEDULES
from tests.docs.output import shows

ROOT = Path(__file__).parent.parent


def load_include():
    specification = importlib.util.spec_from_file_location("include", ROOT / "docs/include.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


include = load_include()
TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in include.PAGES}
EVERY_PAGE = pytest.mark.parametrize("page", TEXTS)


@EVERY_PAGE
def test_no_page_is_out_of_date(page):
    """`python docs/include.py` puts it right."""
    assert include.rendered(TEXTS[page]) == TEXTS[page]


def test_measured_tables_are_the_recorded_ones(monkeypatch):
    monkeypatch.setattr(include, "recorded_tables", lambda: {"price": "| new |"})
    block = "<!-- begin {0} -->\nold\n<!-- end {0} -->\n"
    page = include.rendered("before\n" + block.format("price") + block.format("other") + "after\n")
    assert "before\n<!-- begin price -->\n| new |\n<!-- end price -->\n" in page
    assert "<!-- begin other -->\nNot measured yet" in page
    assert page.endswith("<!-- end other -->\nafter\n")
    assert "old" not in page


TABLES = {
    "activations": ACTIVATIONS,
    "losses": LOSSES,
    "layers": NORMALIZATIONS,
    "optimizers": {**OPTIMIZERS, **TRANSFORMS},
    "schedules": SCHEDULES,
}


@pytest.mark.parametrize(("page", "name"), [(page, n) for page, of in TABLES.items() for n in of])
def test_every_component_has_a_section_with_a_link_to_its_code(page, name):
    """A heading with its name, and on the page a link to the file of its function or class."""
    component = TABLES[page][name]
    is_definition = inspect.isroutine(component) or inspect.isclass(component)
    definition = component if is_definition else type(component)
    text = TEXTS[f"docs/reference/{page}.md"]
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    (section,) = (section for section in sections if f"`{name}`" in section.splitlines()[0])
    file = str(Path(inspect.getfile(definition)).resolve().relative_to(ROOT))
    assert f"](../../{file})" in text
    assert "**Derivation.**" in section
    assert "**Check**" in section


SOURCES = {str(path.relative_to(ROOT)): path for path in ROOT.glob("pluggable_mlp/**/*.py")}
TYPED_ONCE = {"initializers": INITIALIZERS, **TABLES}


def lists_names(text, table):
    """Whether a text has most of the names in a table, in one sentence or another."""
    named = set(re.findall(r"\w+", text)) & set(table)
    return len(table) > len(NORMALIZATIONS) and 2 * len(named) > len(table)


def test_no_text_lists_the_names_of_a_table_by_hand():
    """A docstring or a message names the table: what is typed again is not kept up to date."""
    listing = {
        f"{name}:{node.lineno} lists {table}"
        for name, path in SOURCES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for table, names in TYPED_ONCE.items()
        if lists_names(node.value, names)
    }
    assert listing == set()
    for table, names in TYPED_ONCE.items():
        assert lists_names(f"one of {', '.join(names)}", names) or table == "layers"


@EVERY_PAGE
def test_lines_of_code_fit_between_the_columns_of_the_site(page):
    """At 1280 pixels, by docs/static/site.css, which breaks the lines of what programs print."""
    blocks = re.findall(r"^```(\S*)[^\n]*\n(.*?)^```$", TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    code = "".join(block for language, block in blocks if language != "text")
    assert [line for line in code.splitlines() if len(line) > 100] == []


def slug(heading):
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@EVERY_PAGE
def test_links_resolve(page):
    prose = re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), flags=re.MULTILINE)
            assert anchor in map(slug, headings), target


def test_every_page_is_linked_from_the_index_of_its_part():
    for page in map(Path, TEXTS):
        if len(page.parts) == 3 and page.name != "index.md":
            assert f"]({page.name})" in TEXTS[str(page.with_name("index.md"))], page
    assert "](docs/index.md)" in TEXTS["README.md"]


@EVERY_PAGE
def test_tests_and_scripts_that_are_named_exist(page):
    for file, name in re.findall(r"`((?:[\w.]+/)+\w+\.(?:py|sh))(?:::(\w+))?`", TEXTS[page]):
        assert (ROOT / file).is_file(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{file}::{name}"


PUBLIC = sorted(pluggable_mlp._HOMES)


def test_the_reference_lists_every_public_name():
    page = TEXTS["docs/reference/api.md"].partition("currentmodule:: pluggable_mlp.testing")[0]
    assert sorted(re.findall(r"^(?:   |\.\. py:data:: )(\w+)$", page, flags=re.MULTILINE)) == PUBLIC


def is_table(name):
    return isinstance(getattr(pluggable_mlp, name), Mapping)


@pytest.mark.parametrize("name", [name for name in PUBLIC if not is_table(name)])
def test_every_public_name_has_an_example_that_runs(name):
    """Those of the figures where matplotlib is installed; "See Also" names others' equivalents."""
    (found,) = doctest.DocTestFinder(recurse=False).find(getattr(pluggable_mlp, name), name)
    assert found.examples
    assert "See Also\n" in found.docstring
    if find_spec("matplotlib") or "Display" not in name:
        said = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        assert not runner.run(found, out=said.append).failed, "".join(said)


def test_every_mark_of_a_plot_is_above_a_block_of_python():
    """From which docs/conf.py draws a figure."""
    marks = "".join(TEXTS.values()).split("<!-- plot: ")[1:]
    assert marks
    for mark in marks:
        assert re.match(r"[^>]* -->\n```python\n", mark), mark[:100]


QUICK = ("README.md", "docs/index.md")
"""Whose examples the default suite runs."""
NEEDED = {"Display": "matplotlib", "to_onnx": "ndonnx"}
"""What some examples call, and the package that it needs."""


def examples(page, language, comment):
    """Each block of code with the output below it, or in its comments."""
    block = rf"^```{language}\n(.*?)^```$(?:\n```text\n(.*?)^```$)?"
    for code, below in re.findall(block, TEXTS[page], flags=re.DOTALL | re.MULTILINE):
        yield code, below or " ".join(re.findall(comment, code, flags=re.MULTILINE))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page not in QUICK))
        for page in TEXTS
        if not page.startswith("docs/tutorials/")  # tests/docs runs these
    ],
)
def test_python_examples_run(page):
    """One after the other, as those of a page belong together; each prints what the page shows."""
    absent = {call: package for call, package in NEEDED.items() if not find_spec(package)}
    names, left_out = {"__name__": "example"}, 0
    for code, shown in examples(page, "python", r"^print\(.*\)\s+# (.*)$"):
        if any(call in code for call in absent):
            left_out += 1
            continue
        with redirect_stdout(StringIO()) as printed:
            exec(compile(code, page, "exec"), names)
        assert shows(shown, printed.getvalue()), printed.getvalue()
    if left_out:
        pytest.skip(f"all examples have run that need none of {', '.join(absent.values())}")


@pytest.mark.slow
@pytest.mark.parametrize("page", QUICK)
def test_shell_examples_print_what_the_page_shows(page, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    for code, shown in examples(page, "sh", r"^# (.*)$"):
        if shown:
            done = subprocess.run(
                ["sh", "-ec", code], cwd=tmp_path, stdout=-1, text=True, check=True
            )
            assert shows(shown, done.stdout), done.stdout


def commands(text):
    """The shell lines of a page that call our command or a Python script, in words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    lines = [*"".join(blocks).replace("\\\n", " ").splitlines(), *re.findall(r"`([^`\n]+)`", text)]
    for line in lines:
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if len(words) > 1 and words[0] in ("pluggable-mlp", "python"):
                yield words


def check_commands(text):
    """Each is parsed by the command itself, without being run; the settings must fit together."""
    for called, name, *arguments in commands(text):
        if called == "pluggable-mlp" and name != "--help":
            command = program.commands[name]
            given = command.make_context(name, arguments).params if arguments else {}
            for spec in (given.get("backends") or given.get("backend") or "numpy").split(","):
                check_backend(spec)
            data = given.get("data") or "digits"
            assert data in ("digits", *PUBLISHED) or Path(data).suffix, f"{data} is not a data set"
            if name == "train":
                settings = {
                    key: parse(Options.__dataclass_fields__[key], str(of))
                    for key, of in given.items()
                    if key in Options.__dataclass_fields__ and of is not None
                }
                refuse_unfit(Options(**settings))
        elif name not in ("-m", "-c", "--help"):
            script = (ROOT / name).read_text("utf-8")
            assert all(f'"{word}"' in script for word in arguments if word.startswith("--")), name


def check_backend(spec):
    """A backend that there is, and a device that it can have, whatever is here."""
    with suppress(BackendUnavailable):
        get_backend(spec)


@EVERY_PAGE
def test_commands_are_real(page):
    check_commands(TEXTS[page])
    for spec in re.findall(r"[`\"](\w+:(?:cpu|gpu|cuda|device|\d)[\w:]*)[`\"]", TEXTS[page]):
        check_backend(spec)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("pluggable-mlp train --batchsize 3", typer.BadParameter.__base__),
        ("pluggable-mlp train --optimizer adm", ValueError),
        ("pluggable-mlp compare --backends numpy,tensorflow", ValueError),
        ("pluggable-mlp train --data fashion_mnist", AssertionError),
        ("python docs/include.py --chekc", AssertionError),
    ],
)
def test_a_command_that_is_not_real_is_noticed(line, error):
    for text in (f"```sh\n{line}\n```\n", f"see `{line}`"):
        with pytest.raises(error):
            check_commands(text)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]


def unknown_installs(text):
    """What a page gives to pip that is neither an extra nor a requirement of the project."""
    extras = re.findall(r"'(?:\.|pluggable-mlp)\[([^]]+)\]'", text)
    packages = re.findall(r"pip install (?:-e )?([a-z][\w-]*)", text)
    known = {re.match(r"[\w-]+", line)[0] for line in REQUIREMENTS}
    return {name for names in extras for name in names.split(",")} - set(EXTRAS) | (
        set(packages) - known
    )


@pytest.mark.parametrize("page", [*TEXTS, "CONTRIBUTING.md"])
def test_named_extras_and_packages_exist(page):
    assert unknown_installs((ROOT / page).read_text("utf-8")) == set()


def test_the_page_on_the_command_line_names_every_exit_code():
    page = " ".join(TEXTS["docs/reference/command-line.md"].split())
    (said,) = re.findall(r"Exit codes: ([^.]*)", page)
    (meant,) = re.findall(r"Exit codes: ([^.]*)", " ".join(pluggable_mlp.cli.__doc__.split()))
    assert set(re.findall(r"\d+", said)) == set(re.findall(r"\d+", meant)) >= {"0", "1", "2", "3"}


def test_the_page_on_the_command_line_names_every_file_of_a_run(tmp_path):
    page = TEXTS["docs/reference/command-line.md"]
    (said,) = re.findall(r"writes a folder: (.*?)\.\s", page, flags=re.DOTALL)
    arguments = ["train", "--hidden", "4", "--epochs", "1", "--output", str(tmp_path / "run")]
    command = [sys.executable, "-c", "from pluggable_mlp.cli import main; main()", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert set(re.findall(r"`(\w+\.\w+)`", said)) == files - {"checkpoints"}


def test_the_page_on_compare_lists_the_functions_that_have_a_bound():
    strict = pytest.importorskip("array_api_strict")
    page = (ROOT / "docs/explanation/compare.md").read_text(encoding="utf-8")
    table = page.partition("**Functions** with a bound")[2].partition("Any other function")[0]
    xp = BoundedNamespace("float32")
    of_numbers = {"arange", "argmax", "e", "finfo", "inf", "isdtype", "nan", "pi"}
    has = {name for name in dir(strict) if not name.startswith("_") and hasattr(xp, name)}
    dtypes = {"float32", "float64", "int64", "uint8"}
    assert set(re.findall(r"`(\w+)`", table)) - {"erf"} == has - dtypes - of_numbers
