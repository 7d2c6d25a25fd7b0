"""`ci/mutants.py`: caught, surviving and stale faults are distinguished.

Whether the tests catch the real faults takes about 25 minutes: the script is run by hand.
"""

import pytest

from ci import mutants

PROJECT = {
    "pluggable_mlp/__init__.py": "",
    "pluggable_mlp/backends/numpy.py": "",
    "pluggable_mlp/numbers.py": """
def larger(a, b):
    return a if a > b else b

def half(a):
    return a / 2
""",
    "tests/conftest.py": "",
    "tests/test_larger.py": """
from pluggable_mlp.numbers import larger
def test_larger(): assert larger(1, 2) == 2
def test_equal(): assert larger(1.0, 1) is 1
""",
    "tests/test_half.py": """
from pluggable_mlp.numbers import half
def test_half(): assert half(4) == 2
""",
}
TABLE = """
[[faults]]
file = "pluggable_mlp/numbers.py"
tests = ["tests/test_larger.py"]
only = "larger and not equal"
plant = [
    ["the smaller", "a > b", "a < b"],
    ["the first of equal ones", "a > b", "a >= b"],
    ["gone", "what is not there", ""],
    ["there twice", "return", ""],
]

[[faults]]
file = "pluggable_mlp/numbers.py"
tests = ["tests/test_half.py"]
plant = [["a third", "/ 2", "/ 3"]]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a small project in which faults are planted."""
    for name, text in PROJECT.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(mutants, "ROOT", tmp_path / "project")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path / "project"


@pytest.fixture
def script(project, tmp_path, capsys):
    """Run the script on this table; give the exit code, and verdicts by what the faults do."""
    assert project

    def run(*arguments, table=TABLE):
        (tmp_path / "own.toml").write_text(table, encoding="utf-8")
        code = mutants.main(["--faults", str(tmp_path), *arguments])
        lines = [line.partition("own: ") for line in capsys.readouterr().out.splitlines()]
        return code, {what: before.split()[:1] for before, separator, what in lines if separator}

    return run


@pytest.mark.slow
def test_caught_surviving_and_stale_faults_are_distinguished(script):
    code, verdicts = script("-j", "2")
    assert code == 1
    assert verdicts == {
        "the smaller": ["caught"],
        "the first of equal ones": ["SURVIVED"],
        "gone": ["STALE"],
        "there twice": ["STALE"],
        "a third": ["caught"],
    }


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_who_sees_a_fault_is_asked_of_one_file_at_a_time(tmp_path, capsys):
    (tmp_path / "own.toml").write_text(TABLE, encoding="utf-8")
    others = ["tests/test_half.py", "tests/test_larger.py"]
    arguments = ["--faults", str(tmp_path), "--name", "smaller", "--who-sees", "--tests", *others]
    assert mutants.main(arguments) == 0
    written = capsys.readouterr().out
    assert "| the smaller | tests/test_larger.py | tests/test_half.py |\n" in written
    assert "| tests/test_half.py | 0 | 0 |\n| tests/test_larger.py | 1 | 1 |" in written


@pytest.mark.slow
def test_tests_that_fail_without_a_fault_see_none(script):
    table = TABLE.replace("tests/test_larger.py", "tests/no_such_test.py")
    assert script("--name", "smaller", table=table) == (1, {"the smaller": ["BROKEN"]})


def test_a_list_plants_nothing(script):
    assert script("--list", "--name", "there") == (1, {"there twice": ["STALE"]})
    assert script("--list", "--name", "third") == (0, {"a third": []})
    assert script("--list", "--area", "other") == (0, {})


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_a_copy_whose_code_is_not_imported_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(mutants, "LEFT_OUT", (*mutants.LEFT_OUT, "pluggable_mlp"))
    with pytest.raises(RuntimeError, match="do not import the copy, but"):
        mutants.Copy(tmp_path / "copy")


@pytest.mark.slow
def test_a_hang_is_seen_and_the_fault_taken_out_again(project, tmp_path, monkeypatch):
    monkeypatch.setattr(mutants.Copy, "complaint", lambda *_: "")
    tests = mutants.Tests(("tests/test_half.py",))
    hangs = ("for ever", "return a / 2", "while True: pass")
    fault = mutants.Fault("own", "pluggable_mlp/numbers.py", tests, *hangs)
    copy = mutants.Copy(tmp_path / "copy")
    assert mutants.judge(copy, fault, 2.0) == (mutants.HUNG, "")
    assert (copy.folder / fault.file).read_text() == (project / fault.file).read_text()


FAULTS = mutants.read_faults(mutants.FAULTS)


@pytest.mark.parametrize("area", sorted({fault.area for fault in FAULTS}))
def test_no_fault_is_stale(area):
    """And each is code, and names tests that are there."""
    faults = [fault for fault in FAULTS if fault.area == area]
    assert [fault.what for fault in faults if fault.is_stale(mutants.ROOT)] == []
    for fault in faults:
        source = (mutants.ROOT / fault.file).read_text(encoding="utf-8")
        compile(source.replace(fault.old, fault.new), fault.file, "exec")
        for place in fault.tests.places:
            assert (mutants.ROOT / place.partition("::")[0]).is_file(), place
    assert len({fault.what for fault in faults}) == len(faults)
