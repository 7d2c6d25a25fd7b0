"""What a release needs beside the code says the same as pyproject.toml: citation, recipe, forms."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import pluggable_mlp

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def load(file):
    return yaml.safe_load((ROOT / file).read_text("utf-8"))


def rows(requirements):
    """Each requirement as its name and its bounds; conda writes a space between them."""
    found = [re.fullmatch(r"([\w.-]+) ?(.*)", line).groups() for line in requirements]
    assert len(dict(found)) == len(found)
    return {name: bounds.split(";")[0] for name, bounds in found}


def test_the_recipe_asks_for_what_the_package_does():
    recipe, project = load("recipe/recipe.yaml"), PROJECT["project"]
    least = project["requires-python"].removeprefix(">=")
    assert recipe["context"] == {
        "name": project["name"],
        "version": project["version"],
        "python_min": least,
    }
    run = rows(recipe["requirements"]["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    assert run == rows(project["dependencies"])
    host = rows(recipe["requirements"]["host"])
    assert host.pop("python") == "${{ python_min }}.*"
    assert host == {"pip": "", **rows(PROJECT["build-system"]["requires"])}
    commands = [line.split(" = ") for line in recipe["build"]["python"]["entry_points"]]
    assert dict(commands) == project["scripts"]
    about = recipe["about"]
    assert about["summary"] == project["description"]
    assert (about["license"], [about["license_file"]]) == (
        project["license"],
        project["license-files"],
    )


def test_the_citation_is_of_this_version():
    citation, project = load("CITATION.cff"), PROJECT["project"]
    for key in ("version", "license", "keywords"):
        assert citation[key] == project[key]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]
    assert citation["title"].startswith(project["name"])
    assert citation["version"] == pluggable_mlp.__version__


def test_classifiers_name_the_versions_of_python_that_are_tested():
    listed = re.findall(
        r"Python :: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.MULTILINE
    )
    matrix = load(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert listed == matrix["python"]
    assert PROJECT["project"]["requires-python"] == f">={listed[0]}"


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_forms_of_issues_are_complete(form):
    content = yaml.safe_load(form.read_text("utf-8"))
    if form.stem == "config":
        assert content["blank_issues_enabled"] is True
        return
    assert {"name", "description", "body"} <= set(content)
    assert {part["type"] for part in content["body"]} <= {"textarea", "input"}
    ids = [part["id"] for part in content["body"]]
    assert len(set(ids)) == len(ids)
    assert all(part["attributes"]["label"] for part in content["body"])


def test_the_page_of_the_promise_names_what_there_is():
    page = (ROOT / "docs/reference/stability.md").read_text("utf-8")
    for name in set(re.findall(r"`(pluggable_mlp(?:\.\w+)*)`", page)):
        assert import_module(name.removesuffix(".__all__")).__all__, name
    for file in re.findall(r"`([\w/]+\.json)`", page):
        assert (ROOT / file).is_file() or file in ("summary.json",), file
