"""`ci/mutants.py`: caught, surviving and stale faults are distinguished.

Whether the tests catch the real faults takes about 25 minutes: the script is run by hand.
"""

import pytest

from ci import mutants

# Of components as text only the refusals are looked at: values may be anything.
TABLE = """
[[faults]]
file = "pluggable_mlp/registry.py"
tests = ["tests/test_registry.py"]
only = "another_form or single"
plant = [
    ["two for one", "if len(components) != 1:", "if False:"],
    ["numbers become floats", "convert(text, Value,", "convert(text, bool | float,"],
    ["gone", "what is not there", ""],
    ["there twice", "components[", ""],
]

[[faults]]
file = "backends/memory.py"
tests = ["tests/backends/test_memory.py"]
only = "in_words"
plant = [["a thousand is a unit", "size < 1024", "size < 1000"]]
"""


copies_the_tree = pytest.mark.slow


@pytest.fixture
def script(tmp_path, capsys):
    """Run the script on this table; give the exit code, and verdicts by what the faults do."""

    def run(*arguments, table=TABLE):
        (tmp_path / "own.toml").write_text(table, encoding="utf-8")
        code = mutants.main(["--faults", str(tmp_path), *arguments])
        lines = [line.partition("own: ") for line in capsys.readouterr().out.splitlines()]
        return code, {what: before.split()[:1] for before, of, what in lines if of}

    return run


@copies_the_tree
def test_caught_surviving_and_stale_faults_are_distinguished(script):
    code, verdicts = script("-j", "2")
    assert code == 1
    assert verdicts == {
        "two for one": ["caught"],
        "numbers become floats": ["SURVIVED"],
        "gone": ["STALE"],
        "there twice": ["STALE"],
        "a thousand is a unit": ["caught"],
    }


@copies_the_tree
def test_who_sees_a_fault_is_asked_of_one_file_at_a_time(tmp_path, capsys):
    (tmp_path / "own.toml").write_text(TABLE, encoding="utf-8")
    others = ["tests/test_settings.py", "tests/test_registry.py", "tests/test_wording.py"]
    arguments = ["--faults", str(tmp_path), "--name", "two", "--who-sees", "--tests", *others]
    assert mutants.main(arguments) == 0
    written = capsys.readouterr().out
    no = "tests/test_settings.py, tests/test_wording.py"
    assert f"| two for one | tests/test_registry.py | {no} |\n" in written
    assert "| tests/test_registry.py | 1 | 1 |\n| tests/test_settings.py | 0 | 0 |" in written


@copies_the_tree
def test_tests_that_fail_without_a_fault_see_none(script):
    table = TABLE.replace("tests/test_registry.py", "tests/no_such_test.py")
    assert script("--name", "two", table=table) == (1, {"two for one": ["BROKEN"]})


def test_a_list_plants_nothing(script):
    assert script("--list", "--name", "there") == (1, {"there twice": ["STALE"]})
    assert script("--list", "--name", "floats") == (0, {"numbers become floats": []})
    assert script("--list", "--area", "other") == (0, {})


@copies_the_tree
def test_a_copy_whose_code_is_not_imported_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(mutants, "LEFT_OUT", (*mutants.LEFT_OUT, "pluggable_mlp"))
    with pytest.raises(RuntimeError, match="do not import the copy, but"):
        mutants.Copy(tmp_path / "copy")


@copies_the_tree
def test_a_hang_is_seen_and_the_fault_taken_out_again(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants.Copy, "complaint", lambda *_: "")
    tests = mutants.Tests(("tests/test_registry.py",))
    hangs = ("for ever", "components = parse_components(text, what)", "while True: pass")
    fault = mutants.Fault("own", "pluggable_mlp/registry.py", tests, *hangs)
    copy = mutants.Copy(tmp_path / "copy")
    assert mutants.judge(copy, fault, 1.0) == (mutants.HUNG, "")
    right = (mutants.ROOT / fault.file).read_text()
    assert (copy.folder / fault.file).read_text() == right


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
