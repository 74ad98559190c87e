"""`make test` runs both parts whatever becomes of the first, and tells of both at the end."""

from pathlib import Path

import pytest
from whole_suite import main


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`part("name", source)`: the arguments that run a test module of that source, and nothing of this project."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def make(name: str, source: str) -> tuple[str, ...]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"test_{name}.py").write_text(source)
        return f"{folder}", "-c", "/dev/null", f"--rootdir={folder}", "-p", "no:cacheprovider"

    return make


def test_the_second_part_runs_after_a_failure_of_the_first_and_both_are_counted_at_the_end(part, capfd):
    status = main(
        {
            "first": part("one", "def test_a(): pass\ndef test_b(): assert 1 == 2, 'not so'\n"),
            "second": part("two", "import pytest\ndef test_c(): pass\ndef test_d(): pytest.skip('needs a probe')\n"),
        }
    )
    assert status == 1
    told = capfd.readouterr().out.splitlines()
    assert told[-4].startswith("first: 1 passed, 1 failed, 0 not run in ")
    assert told[-3].startswith("FAILED test_one::test_b: AssertionError: not so")
    assert told[-2].startswith("second: 1 passed, 0 failed, 1 not run in ")
    assert told[-1] == "not run (1): needs a probe"


def test_a_part_that_cannot_even_be_collected_is_no_success(part, capfd):
    assert main({"first": part("one", "import nowhere_to_be_found\n")}) != 0
    assert "nowhere_to_be_found" in capfd.readouterr().out
    assert main({"first": ("--no-such-option",)}) != 0
    assert "first: pytest ended with 4, without a report" in capfd.readouterr().out
