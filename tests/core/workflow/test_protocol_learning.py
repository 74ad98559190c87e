"""A protocol from cases: what they show, and no more than that; the same whatever their order; never silently another."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.engine.signature import fingerprint, make_key
from surgical_ml.errors import InputError
from surgical_ml.workflow import END, load_protocol
from surgical_ml.workflow.protocol_adapting import adapt_protocol
from surgical_ml.workflow.protocol_course import CaseCourse, Visit, read_courses
from surgical_ml.workflow.protocol_file import protocol_signer, write_protocol
from surgical_ml.workflow.protocol_learning import LEAST_CASES, LEAST_SHOWN, learn_protocol
from surgical_ml.workflow.protocol_statistics import chi_square, fit, rounded_shares, student, update, wilson

GALL = load_protocol("cholecystectomy")
BYPASS = load_protocol("gastric_bypass")
PREPARATION, CALOT, CLIPPING, DISSECTION, PACKAGING, CLEANING, RETRACTION = GALL.phase_names
ORDINARY = (PREPARATION, CALOT, CLIPPING, DISSECTION, PACKAGING, RETRACTION)
BERN = Path(__file__).resolve().parents[4] / "shared" / "data" / "multibypass140-bern"


def course(case: str, *names: str, length_s: float = 100.0, tools: dict[str, float] | None = None) -> CaseCourse:
    """Visits of one length each; `tools` are seen in all of them for so many seconds."""
    seen = None if tools is None else dict.fromkeys(GALL.tools, 0.0) | tools
    return CaseCourse(case, tuple(Visit(name, k * length_s, (k + 1) * length_s, seen) for k, name in enumerate(names)))


def ordinary(count: int, **how: object) -> list[CaseCourse]:
    """Cases of the ordinary course, each a second slower than the one before."""
    return [course(f"case{k}", *ORDINARY, length_s=100.0 + k, **how) for k in range(count)]  # type: ignore[arg-type]


@st.composite
def courses(draw: st.DrawFn) -> list[CaseCourse]:
    """Any courses at all, however little sense they make, of different lengths so that no two are the same."""
    found = []
    for k in range(draw(st.integers(LEAST_CASES, 12))):
        names = draw(st.lists(st.sampled_from(GALL.phase_names), min_size=1, max_size=9))
        names = [name for name, after in pairwise([*names, END]) if name != after]
        tools = draw(st.none() | st.fixed_dictionaries({tool: st.floats(0, 50) for tool in GALL.tools[:2]}))
        found.append(course(f"case{k}", *names, length_s=draw(st.floats(0.5, 2000)) + 1e-2 * k, tools=tools))
    return found


@settings(max_examples=40)
@given(courses(), st.randoms(use_true_random=False))
def test_any_cases_give_a_valid_protocol_and_the_same_in_any_order(tmp_path_factory, cases, dice):
    learned = learn_protocol(GALL, cases)
    shuffled = [CaseCourse(f"other{k}", one.visits) for k, one in enumerate(cases)]
    dice.shuffle(shuffled)
    assert learn_protocol(GALL, shuffled).digest == learned.digest
    assert learned.phase_names == GALL.phase_names
    for phase in learned.phases:
        assert sum(phase.next.values()) == pytest.approx(1, abs=1e-9)
    for before, after in {step for one in cases for step in one.steps}:
        assert after in (*learned.phase(before).next, *learned.phase(before).rare)
    adapted = adapt_protocol(learned, [course("new", *ORDINARY, length_s=7.0)])
    assert adapted.digest != learned.digest
    path = tmp_path_factory.mktemp("learned") / "one.yaml"
    write_protocol(path, adapted, "head")
    assert load_protocol(path) == adapted


def test_a_duration_is_that_of_the_cases_with_its_intervals():
    phase = learn_protocol(GALL, ordinary(41)).phase(CALOT)
    assert phase.duration is not None
    assert phase.duration.median_s == pytest.approx(119.4, abs=0.2)
    assert phase.evidence.median_s[0] < phase.duration.median_s < phase.evidence.median_s[1]
    low, high = phase.evidence.spread
    assert 0.05 < low < phase.duration.spread < high < 0.2


def test_what_too_few_cases_show_is_not_stated():
    few = [course(f"odd{k}", PREPARATION, CLEANING, *ORDINARY[1:], length_s=50.0 + k) for k in range(LEAST_CASES - 1)]
    cases = [*ordinary(20), *few]
    phase = learn_protocol(GALL, cases).phase(CLEANING)
    assert (phase.duration, phase.evidence.median_s) == (None, None)
    assert phase.evidence.not_learned == ("duration", "next", "tools")
    assert phase.next == GALL.phase(CLEANING).next
    assert CALOT in phase.rare
    one_more = [*cases, course("odd", PREPARATION, CLEANING, *ORDINARY[1:], length_s=99.5)]
    phase = learn_protocol(GALL, one_more).phase(CLEANING)
    assert phase.duration is not None
    assert CALOT in phase.next


def test_a_step_is_rare_until_enough_cases_show_it():
    odd = (PREPARATION, CALOT, CLIPPING, PREPARATION, CALOT, CLIPPING, *ORDINARY[3:])
    few = [course(f"odd{k}", *odd, length_s=90.0 + k) for k in range(LEAST_SHOWN - 1)]
    learned = learn_protocol(GALL, [*ordinary(20), *few])
    assert PREPARATION in learned.phase(CLIPPING).rare
    assert PREPARATION not in learned.phase(CLIPPING).next
    shown = learn_protocol(GALL, [*ordinary(20), *few, course("odd", *odd, length_s=80)]).phase(CLIPPING)
    assert shown.next[PREPARATION] == pytest.approx((3 + 0.5) / (26 + 1), abs=1e-4)
    assert shown.evidence.next[PREPARATION].times == 3
    assert shown.evidence.next[PREPARATION].cases == 3


def test_a_step_of_the_old_protocol_stays_rare_until_enough_cases_do_without_it():
    assert CLEANING in learn_protocol(GALL, ordinary(10)).phase(PACKAGING).rare
    always = [course(f"c{k}", *ORDINARY, CLEANING, length_s=100.0 + k) for k in range(40)]
    assert CLEANING not in learn_protocol(GALL, always).phase(PACKAGING).rare


def test_tools_are_expected_allowed_or_unexpected_by_how_many_cases_show_them():
    cases = ordinary(40, tools={"grasper": 50.0})
    cases = [
        *cases,
        *(course(f"s{k}", *ORDINARY, length_s=60.0 + k, tools={"grasper": 9.0, "scissors": 9.0}) for k in range(5)),
    ]
    phase = learn_protocol(GALL, cases).phase(PREPARATION)
    assert phase.tools.expected == ("grasper",)
    assert phase.tools.allowed == ("scissors",)
    # Nobody ever uses them, and enough cases say so, whatever the old protocol allowed.
    assert phase.tools.unexpected == ("bipolar", "hook", "clipper", "irrigator", "specimen_bag")
    seen = phase.evidence.tools["scissors"]
    assert (seen.cases, seen.of) == (5, 45)
    assert seen.share == pytest.approx(wilson(5, 45), abs=1e-4)


def test_too_few_cases_leave_the_tools_that_the_old_protocol_allows():
    tools = learn_protocol(GALL, ordinary(6, tools={"grasper": 50.0})).phase(PREPARATION).tools
    assert tools.allowed == ("bipolar", "hook")
    assert tools.unexpected == ("scissors", "clipper", "irrigator", "specimen_bag")


def test_cases_without_tools_leave_the_tools_as_they_were():
    learned = learn_protocol(GALL, ordinary(20))
    assert [one.tools for one in learned.phases] == [one.tools for one in GALL.phases]
    assert all("tools" in one.evidence.not_learned for one in learned.phases)


def test_a_prerequisite_that_cases_contradict_is_dropped_and_said():
    without = [course(f"n{k}", PREPARATION, CALOT, *ORDINARY[3:], length_s=70.0 + k) for k in range(LEAST_SHOWN)]
    learned = learn_protocol(GALL, [*ordinary(20), *without]).phase(DISSECTION)
    assert learned.requires.completed == ()
    assert learned.evidence.contradicted == (CLIPPING,)
    kept = learn_protocol(GALL, [*ordinary(20), *without[1:]]).phase(DISSECTION)
    assert kept.requires.completed == (CLIPPING,)
    assert learn_protocol(GALL, ordinary(20)).phase(CLIPPING).critical


def test_too_few_cases_and_a_case_that_is_there_twice_are_refused():
    with pytest.raises(InputError, match="5 or more to learn a protocol from, found 4"):
        learn_protocol(GALL, ordinary(4))
    twice = [*ordinary(5), CaseCourse("copy", ordinary(1)[0].visits)]
    with pytest.raises(InputError, match="copy: expected a case that is not there already, found the same course as"):
        learn_protocol(GALL, twice)


def test_adapting_moves_a_protocol_by_as_much_as_the_cases_weigh():
    before = GALL.phase(CALOT).duration
    cases = ordinary(10)
    medians = [
        adapt_protocol(GALL, cases, weight=weight).phase(CALOT).duration.median_s for weight in (0.1, 10.0, 1000.0)
    ]
    assert medians[0] == pytest.approx(105, rel=0.05)
    assert medians[1] == pytest.approx((before.median_s * 104.45) ** 0.5, rel=0.01)
    assert medians[2] == pytest.approx(before.median_s, rel=0.05)
    (nearly,) = (adapt_protocol(GALL, cases[:1]).phase(CALOT).duration.median_s,)
    assert medians[1] < nearly < before.median_s


def test_adapting_keeps_what_was_ordinary_and_learns_what_the_site_does():
    odd = [course(f"o{k}", PREPARATION, CLEANING, *ORDINARY[1:], length_s=80.0 + k) for k in range(LEAST_SHOWN)]
    adapted = adapt_protocol(GALL, odd)
    assert adapted.phase(PREPARATION).next[CALOT] == pytest.approx(10 / 13, abs=1e-4)
    assert adapted.phase(PREPARATION).next[CLEANING] == pytest.approx(3 / 13, abs=1e-4)
    assert CLEANING in adapt_protocol(GALL, odd[1:]).phase(PREPARATION).rare
    assert adapted.phase(DISSECTION).next == {
        PACKAGING: pytest.approx(8 / 13, abs=1e-4),
        CLEANING: pytest.approx(5 / 13, abs=1e-4),
    }


def test_an_adapted_protocol_is_another_version_that_names_the_old_one():
    cases = ordinary(3)
    adapted = adapt_protocol(GALL, cases)
    assert adapted.version.startswith(f"{GALL.version}+")
    assert adapted.learned.origin.sha256 == GALL.digest
    assert (adapted.learned.cases, adapted.learned.weight) == (3, 10.0)
    assert adapt_protocol(GALL, cases[::-1]).digest == adapted.digest
    with pytest.raises(InputError, match="version: expected another one than 2"):
        adapt_protocol(GALL, cases, version=GALL.version)
    with pytest.raises(InputError, match="weight: expected cases, above 0"):
        adapt_protocol(GALL, cases, weight=0)
    with pytest.raises(InputError, match="one or more to adapt a protocol to, found none"):
        adapt_protocol(GALL, [])


def test_a_signed_protocol_says_whose_it_is_and_is_refused_once_changed(tmp_path):
    key = make_key(tmp_path / "site.key")
    path = tmp_path / "site.yaml"
    signer = write_protocol(path, GALL, "signed", key)
    assert signer == protocol_signer(path) == fingerprint(key.public_key())
    assert load_protocol(path) == GALL
    path.write_text(path.read_text("utf-8").replace("critical: true", "critical: false"), "utf-8")
    with pytest.raises(
        InputError, match=r"expected a signature of site\.yaml by the key .*, found one of something else"
    ):
        load_protocol(path)
    path.with_name("site.yaml.sig").unlink()
    with pytest.raises(
        InputError, match=r"site\.yaml\.sig: expected the signature and its key together, found no file"
    ):
        load_protocol(path)


def test_a_protocol_is_never_written_over_another(tmp_path):
    path = tmp_path / "one.yaml"
    assert write_protocol(path, GALL, "first") is None
    assert protocol_signer(path) is None
    with pytest.raises(InputError, match="expected no file, for a new protocol, found one"):
        write_protocol(path, BYPASS, "second")
    with pytest.raises(InputError, match=r"a file that ends in \.yaml"):
        write_protocol(tmp_path / "one.txt", GALL, "first")
    assert [one.name for one in tmp_path.iterdir()] == ["one.yaml"]


def phase_file(path: Path, labels: list[str], every: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{k * every}\t{label}\n" for k, label in enumerate(labels)), "utf-8")


def test_cholec80_as_published_is_read_with_its_tools(tmp_path):
    phase_file(
        tmp_path / "phase_annotations" / "video01-phase.txt", ["Preparation"] * 100 + ["CalotTriangleDissection"] * 50
    )
    tools = ["Frame\tGrasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag"]
    tools += [f"{25 * k}\t{int(k < 3)}\t0\t{int(k > 3)}\t0\t0\t0\t0" for k in range(6)]
    (tmp_path / "tool_annotations").mkdir()
    (tmp_path / "tool_annotations" / "video01-tool.txt").write_text("\n".join(tools) + "\n", "utf-8")
    (case,) = read_courses(tmp_path, GALL)
    first, second = case.visits
    assert (first.phase, first.start_s, first.end_s) == (PREPARATION, 0.0, 4.0)
    assert (second.phase, second.start_s, second.end_s) == (CALOT, 4.0, 6.0)
    assert {tool: seconds for tool, seconds in first.tools_s.items() if seconds} == {"grasper": 3.0}
    assert {tool: seconds for tool, seconds in second.tools_s.items() if seconds} == {"hook": 2.0}
    assert case.steps == ((PREPARATION, CALOT), (CALOT, END))


def test_phase_files_alone_need_their_rate(tmp_path):
    phase_file(tmp_path / "a-phase.txt", ["Preparation"] * 10 + ["-1"] * 5 + ["Preparation"] * 5)
    with pytest.raises(InputError, match="expected --fps, the samples per second of its phases, found none"):
        read_courses(tmp_path, GALL)
    (case,) = read_courses(tmp_path, GALL, fps=2.0)
    # What nobody labelled in the middle of a phase does not divide it.
    assert case.visits == (Visit(PREPARATION, 0.0, 10.0),)


def interval(start: int, end: int, label: int, name: str) -> dict[str, object]:
    return {"start": start, "end": end, "label_id": label, "label_name": name}


def test_overlays_of_multibypass140_are_no_phases(tmp_path):
    phases = [
        interval(0, 60_000, 0, "preparation"),
        interval(20_000, 30_000, 12, "out_of_body"),
        interval(60_000, 100_000, 1, "gastric_pouch_creation"),
    ]
    (tmp_path / "BBP01.mp4.json").write_text(json.dumps({"phases": phases, "steps": []}), "utf-8")
    (case,) = read_courses(tmp_path, BYPASS)
    assert case.visits == (Visit("preparation", 0.0, 60.0), Visit("gastric_pouch_creation", 60.0, 100.0))
    with pytest.raises(InputError, match="expected a label of cholecystectomy"):
        read_courses(tmp_path, GALL)


@pytest.mark.skipif(not BERN.is_dir(), reason="needs shared/data/multibypass140-bern beside the project")
def test_fifty_operations_of_one_hospital_explain_twenty_others():
    cases = read_courses(BERN, BYPASS)
    learned = learn_protocol(BYPASS, cases[:50])
    assert learned.phase("other_intervention").evidence.not_learned == ("duration", "next")
    steps = [step for one in cases[50:] for step in one.steps]
    unheard = [
        (before, after)
        for before, after in steps
        if after not in (*learned.phase(before).next, *learned.phase(before).rare)
    ]
    assert len(unheard) <= 0.1 * len(steps)
    lengths = [(visit, learned.phase(visit.phase).duration) for one in cases[50:] for visit in one.visits]
    inside = [d.quantile_s(0.05) <= visit.length_s <= d.quantile_s(0.95) for visit, d in lengths if d is not None]
    assert sum(inside) >= 0.8 * len(inside)


@pytest.mark.parametrize(("freedom", "expected"), [(4, 2.776), (9, 2.262), (29, 2.045), (1000, 1.962)])
def test_students_t_is_that_of_the_tables(freedom, expected):
    assert student(freedom) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("freedom", "share", "expected"), [(4, 0.025, 0.484), (4, 0.975, 11.143), (49, 0.025, 31.555), (49, 0.975, 70.222)]
)
def test_chi_square_is_that_of_the_tables(freedom, share, expected):
    assert chi_square(freedom, share) == pytest.approx(expected, rel=0.1)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=14))
def test_rounded_shares_add_up_to_one_and_lose_none(values):
    shares = rounded_shares([value / sum(values) for value in values])
    assert sum(round(share * 10_000) for share in shares) == 10_000
    assert min(shares) > 0
    assert shares == pytest.approx([value / sum(values) for value in values], abs=0.0002 * len(values))


def test_an_update_by_nothing_changes_nothing_and_by_much_is_the_fit():
    assert update(100.0, 0.5, 10.0, []).median_s == pytest.approx(100)
    assert update(100.0, 0.5, 10.0, []).spread == pytest.approx(0.5)
    seconds = [50.0 + k for k in range(100)]
    much, alone = update(100.0, 0.5, 1e-6, seconds), fit([[one] for one in seconds])
    assert much.median_s == pytest.approx(alone.median_s)
    assert much.spread == pytest.approx(alone.spread, rel=0.01)
