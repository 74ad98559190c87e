"""Needs, requirements, hazards, controls and software items say what they must, and lead to each other."""

import shutil

import pytest
import yaml

from surgical_ml.errors import InputError
from surgical_ml.guidance.risk import HAZARDS
from surgical_ml.validation import ITEMS, accept_links, load_items, suspect_links


@pytest.fixture
def folder(tmp_path):
    """A copy of the module's own items."""
    return shutil.copytree(ITEMS, tmp_path / "items")


def change(folder, file, place, **changed):
    path = folder / f"{file}.yaml"
    values = yaml.safe_load(path.read_text("utf-8"))
    values["items" if file == "architecture" else file][place] |= changed
    path.write_text(yaml.safe_dump(values), "utf-8")


def test_the_modules_own_items_are_as_many_as_a_class_c_item_needs_and_lead_to_each_other():
    items = load_items()
    assert len(items.requirements) >= 60
    assert len(items.hazards) >= 25
    assert len(items.controls) >= 25


def test_every_software_item_is_a_part_of_the_tree(request):
    for item in load_items().architecture.values():
        assert (request.config.rootpath / item.path).exists(), item.path


def test_the_hazards_that_the_module_names_while_it_runs_are_these():
    items = load_items()
    assert {name: items.hazards[name].text for name in HAZARDS} == dict(HAZARDS)


@pytest.mark.parametrize(
    ("file", "changed", "complaint"),
    [
        (
            "requirements",
            {"needs": ["UN-99"]},
            r"requirements\.yaml: expected SRS-001 to refer to what is there, found UN-99",
        ),
        ("requirements", {"item": "ARC-NONE"}, "SRS-001 to refer to what is there, found ARC-NONE"),
        ("requirements", {"id": "SRS-002"}, "each id once, found SRS-002 twice"),
        ("requirements", {"id": "REQ-1"}, "REQ-1: id"),
        ("requirements", {"text": "It is bit-exact."}, "SRS-001: text: .*a requirement says what shall be"),
        ("controls", {"kind": "luck"}, "RC-01: kind"),
        ("controls", {"requirements": ["SRS-999"]}, "RC-01 to refer to what is there, found SRS-999"),
        ("hazards", {"controls": ["RC-99"]}, "HAZ-01 to refer to what is there, found RC-99"),
        ("hazards", {"controls": []}, "HAZ-01: controls"),
        ("hazards", {"probability": [2, 2]}, "HAZ-01: probability: .*less probable"),
        ("hazards", {"severity": 6}, "HAZ-01: severity"),
        ("hazards", {"harms": "typo"}, "HAZ-01: harms"),
        ("needs", {"id": "UN-77"}, "refer to what is there, found UN-01"),
        ("architecture", {"class": "D"}, "ARC-SESSION: class"),
    ],
)
def test_an_item_that_is_wrong_or_leads_nowhere_is_one_line_that_names_it(folder, file, changed, complaint):
    change(folder, file, 0, **changed)
    with pytest.raises(InputError, match=complaint) as refused:
        load_items(folder)
    assert "\n" not in str(refused.value)


def test_a_need_that_no_requirement_serves_and_a_control_that_no_hazard_has_are_refused(folder):
    for file, key, one in (
        ("needs", "needs", {"id": "UN-98", "who": "nobody", "text": "Something that nobody builds."}),
        (
            "controls",
            "controls",
            {"id": "RC-98", "kind": "inherent", "text": "Against nothing at all.", "requirements": ["SRS-001"]},
        ),
    ):
        path = folder / f"{file}.yaml"
        before = path.read_text("utf-8")
        values = yaml.safe_load(before)
        values[key].append(one)
        path.write_text(yaml.safe_dump(values), "utf-8")
        with pytest.raises(InputError, match=f"found {one['id']}, which nothing does"):
            load_items(folder)
        path.write_text(before, "utf-8")


@pytest.mark.parametrize("content", ["", "schema: 2\nneeds: []", "- 1", "needs: [", "schema: 1\nneeds: 3"])
def test_a_file_that_is_none_is_refused(folder, content):
    (folder / "needs.yaml").write_text(content, "utf-8")
    with pytest.raises(InputError, match=r"needs\.yaml"):
        load_items(folder)


def test_every_link_of_the_modules_own_items_was_reviewed_as_it_is_now():
    assert suspect_links(load_items()) == []


def test_a_link_is_suspect_once_an_end_has_changed_until_somebody_has_looked_at_it(folder):
    change(folder, "requirements", 0, text="The same events shall give nearly the same decisions.")
    items = load_items(folder)
    suspects = suspect_links(items, folder)
    assert suspects
    assert all("SRS-001 changed since it was reviewed" in one for one in suspects)
    accept_links(items, folder)
    assert suspect_links(items, folder) == []


def test_a_link_that_is_new_or_gone_is_suspect(folder):
    change(folder, "hazards", 4, controls=["RC-02"])
    assert suspect_links(load_items(folder), folder) == [
        "HAZ-05 RC-02: never reviewed",
        "HAZ-05 RC-01: reviewed, and no longer there",
    ]


def test_reviewed_links_that_are_no_json_are_one_line(folder):
    (folder / "reviewed.json").write_text("[]", "utf-8")
    with pytest.raises(InputError, match=r"reviewed\.json: expected links"):
        suspect_links(load_items(folder), folder)
