"""What a release needs beside the code says the same as pyproject.toml: citation, recipe, forms."""

import os
import re
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import pluggable_mlp

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


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
        "version": pluggable_mlp.__version__,
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
    for key in ("license", "keywords"):
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


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_hash_and_scripts_exist(workflow):
    """A tag can be moved to other code; the comment says which version the hash is of."""
    text = workflow.read_text("utf-8")
    assert all((ROOT / script).is_file() for script in re.findall(r"run: bash (\S+)", text))
    uses = re.findall(r"uses: (.*)$", text, re.MULTILINE)
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_a_release_is_checked_on_every_version_and_then_published_without_a_password():
    jobs = load(".github/workflows/release.yml")["jobs"]
    tested = load(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert jobs["check"]["strategy"]["matrix"] == tested
    assert (jobs["check"]["needs"], jobs["publish"]["needs"]) == ("build", "check")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    publish = jobs["publish"]["steps"][-1]
    assert publish["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert "with" not in publish  # neither a password, nor attestations switched off


@pytest.mark.skipif(os.name != "posix", reason="a script of POSIX shells")
def test_links_lead_to_the_repository_on_pypi(tmp_path):
    """By the commands of the workflow: PyPI shows the README and links, without the files."""
    steps = load(".github/workflows/release.yml")["jobs"]["build"]["steps"]
    (script,) = (step["run"] for step in steps if "sed" in step.get("run", ""))
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "README.md").read_text("utf-8"), "utf-8")
    home = {"GITHUB_SERVER_URL": "https://server", "GITHUB_REPOSITORY": "owner/name"}
    environment = {**os.environ, **home, "GITHUB_REF_NAME": "v1"}
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=environment, check=True)
    text = readme.read_text("utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert all(target.startswith("https://") for target in targets), targets
    assert "](https://server/owner/name/blob/v1/docs/index.md)" in text
    assert "](https://server/owner/name/raw/v1/benchmarks/results/benchmark.svg)" in text
    urls = tomllib.loads((tmp_path / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Source"] == "https://server/owner/name"
    assert urls["Changelog"] == "https://server/owner/name/blob/v1/CHANGELOG.md"


def test_the_page_of_the_promise_names_what_there_is():
    page = (ROOT / "docs/reference/stability.md").read_text("utf-8")
    for name in set(re.findall(r"`(pluggable_mlp(?:\.\w+)*)`", page)):
        assert import_module(name.removesuffix(".__all__")).__all__, name
    for file in re.findall(r"`([\w/]+\.json)`", page):
        assert (ROOT / file).is_file() or file in ("summary.json",), file
