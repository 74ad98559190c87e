"""The trace finds every hole: no test, a failed one, a skip without a reason, a mark that names nothing."""

import csv
import io
import json
import subprocess
import sys

import pytest

from surgical_ml.errors import InputError
from surgical_ml.validation import Evidence, load_items, read_evidence, trace


@pytest.fixture(scope="module")
def items():
    return load_items()


def whole(items, outcome="passed", reason=""):
    """A test a requirement, and two a control."""
    return [
        Evidence("tests/a.py::test_requirements", outcome, reason, tuple(items.requirements), ()),
        *(
            Evidence(f"tests/a.py::test_{proof}", outcome, reason, (), tuple((name, proof) for name in items.controls))
            for proof in ("implementation", "effectiveness")
        ),
    ]


def test_a_run_that_proves_everything_has_no_problem(items):
    done = trace(items, whole(items))
    assert done.problems == ()
    assert done.unproved_here == ()


def test_a_requirement_without_a_test_is_a_problem_and_so_is_each_missing_proof_of_a_control(items):
    first, second, third = whole(items)
    less = Evidence(first.test, "passed", "", first.requirements[1:], ())
    assert trace(items, [less, second, third]).problems == ("SRS-001: no test",)
    less = Evidence(third.test, "passed", "", (), third.controls[1:])
    assert trace(items, [first, second, less]).problems == ("RC-01, effectiveness: no test",)


def test_a_failed_test_is_a_problem_though_another_passed(items):
    bad = Evidence("tests/b.py::test_it", "failed", "", ("SRS-001",), ())
    assert trace(items, [*whole(items), bad]).problems == ("tests/b.py::test_it: failed",)


def test_a_skip_needs_a_reason_and_what_only_skipped_tests_prove_is_not_proved_here(items):
    silent = Evidence("tests/b.py::test_it", "skipped", " ", ("SRS-001",), ())
    assert trace(items, [*whole(items), silent]).problems == ("tests/b.py::test_it: skipped without a reason",)
    done = trace(items, whole(items, "skipped", "needs ROS 2"))
    assert done.problems == ()
    assert len(done.unproved_here) == len(items.requirements) + 2 * len(items.controls)
    assert done.unproved_here[0] == "SRS-001: needs ROS 2"


def test_marks_that_name_nothing_and_suspect_links_are_problems(items):
    odd = Evidence("tests/b.py::test_it", "passed", "", ("SRS-999",), (("RC-01", "luck"),))
    assert trace(items, [*whole(items), odd], ["a b: never reviewed"]).problems == (
        "suspect link: a b: never reviewed",
        "tests/b.py::test_it: marked with SRS-999, which is not there",
        "tests/b.py::test_it: proves luck of RC-01",
    )


def test_the_matrix_reads_from_needs_to_results_and_back(items):
    done = trace(items, whole(items))
    rows = list(csv.DictReader(io.StringIO(done.to_csv())))
    assert {row["requirement"] for row in rows} == set(items.requirements)
    withheld = next(row for row in rows if row["requirement"] == "SRS-031")
    assert withheld["needs"] == "UN-03"
    assert "HAZ-06" in withheld["hazards"].split()
    assert withheld["controls"] == "RC-07"
    assert withheld["result"] == "passed"
    values = json.loads(json.dumps(done.to_json()))
    assert next(one for one in values["requirements"] if one["id"] == "SRS-031")["tests"][0]["result"] == "passed"
    assert values["tests"][0]["requirements"] == list(items.requirements)
    assert {one["id"] for one in values["hazards"]} == set(items.hazards)


MARKED = """
import pytest

@pytest.mark.requirement("SRS-001", "SRS-002")
def test_that_passes():
    pass

@pytest.mark.control("RC-07", proves="effectiveness")
def test_that_fails():
    assert False

@pytest.mark.requirement("SRS-003")
@pytest.mark.skipif(True, reason="needs a GPU")
def test_that_is_skipped():
    pass

@pytest.mark.requirement("SRS-004")
def test_whose_fixture_fails(nothing):
    pass

def test_without_a_mark():
    pass
"""


def run(folder, source, *more):
    (folder / "test_marked.py").write_text(source, "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "surgical_ml.validation.pytest_plugin",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, "--evidence", "evidence.json", *more], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["one process", "two"])
def test_the_plugin_writes_what_each_marked_test_proved(tmp_path, more):
    run(tmp_path, MARKED, *more)
    found = {one.test.rpartition("::")[2]: one for one in read_evidence(tmp_path / "evidence.json")}
    assert {name: one.outcome for name, one in found.items()} == {
        "test_that_passes": "passed",
        "test_that_fails": "failed",
        "test_that_is_skipped": "skipped",
        "test_whose_fixture_fails": "failed",
    }
    assert found["test_that_passes"].requirements == ("SRS-001", "SRS-002")
    assert found["test_that_fails"].controls == (("RC-07", "effectiveness"),)
    assert found["test_that_is_skipped"].reason == "needs a GPU"


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ('requirement("SRS-999")', "expected a requirement that is there, found SRS-999"),
        ('control("RC-07")', "found RC-07, None"),
        ('control("RC-99", proves="effectiveness")', "found RC-99, effectiveness"),
    ],
)
def test_a_mark_that_names_nothing_stops_the_run(tmp_path, mark, complaint):
    done = run(tmp_path, f"import pytest\n\n@pytest.mark.{mark}\ndef test_it():\n    pass\n")
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr
    assert not (tmp_path / "evidence.json").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"tests": [{"test": "a"}]}'])
def test_evidence_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "evidence.json").write_text(content, "utf-8")
    with pytest.raises(InputError, match="the evidence of a test run"):
        read_evidence(tmp_path / "evidence.json")


def test_evidence_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="the evidence of a test run"):
        read_evidence(tmp_path / "none.json")
