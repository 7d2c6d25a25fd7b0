"""What pyproject.toml asks for: the oldest versions are those that CI runs the suite on."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTENT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = CONTENT["project"]


def versions(lines, operator):
    """The version after the operator, as numbers without zeros at the end, by name."""
    found = {}
    for line in lines:
        if match := re.fullmatch(rf"([\w-]+){operator}([\d.]+)", line):
            found[match[1]] = re.sub(r"(\.0)+$", "", match[2])
    return found


def test_the_oldest_versions_are_those_that_are_tried():
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [*extras["torch"], *extras["jax"], *extras["test"]]
    allowed = versions(lines, ">=")
    assert len(allowed) == len(set(lines))
    tried = versions((ROOT / "ci/oldest.txt").read_text("utf-8").splitlines(), "==")
    assert allowed == {name: tried.get(name) for name in allowed}
    assert set(extras["download"]) <= set(lines)


def test_an_extra_asks_for_the_same_version_everywhere():
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    lines = {line for lines in lists for line in lines}
    assert len({line.partition(">=")[0] for line in lines}) == len(lines)


def test_every_package_is_in_the_wheel():
    """An editable install has all of them, listed or not."""
    folders = {path.parent for path in (ROOT / "pluggable_mlp").rglob("__init__.py")}
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert {*CONTENT["tool"]["setuptools"]["packages"]} == {*found, "pluggable_mlp.backends"}
