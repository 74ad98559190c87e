"""Learning, adapting and showing protocols, and a site's cases, from the command line."""

import json

import pytest

from surgical_ml.workflow import END, load_protocol

NAMES = load_protocol("gastric_bypass").phase_names


@pytest.fixture
def labels(tmp_path):
    """Twelve operations of a hospital that does five phases, as MultiBypass140 writes them."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for k in range(12):
        phases, start = [], 0
        for label in (0, 1, 3, 7, 10):
            end = start + 60_000 * (label + 1) + 1000 * k
            phases.append({"start": start, "end": end, "label_id": label, "label_name": NAMES[label]})
            start = end
        (folder / f"BBP{k:02}.mp4.json").write_text(json.dumps({"phases": phases, "steps": []}), "utf-8")
    return folder


def test_the_same_cases_give_the_same_bytes(cli, labels, tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    done = cli("learn", "protocol", labels, "--out", first)
    assert done.status == 0, done.err
    assert "gastrojejunal_anastomosis" in done.out
    assert "too few cases for: duration, next" in done.out
    for k, path in enumerate(sorted(labels.iterdir(), reverse=True)):
        path.rename(labels / f"op{k:02}.mp4.json")
    assert cli("learn", "protocol", labels, "--out", second).status == 0
    assert first.read_bytes() == second.read_bytes()
    assert load_protocol(first).learned.cases == 12
    assert load_protocol(first).phase("disassembling").next[END] > 0.9


def test_a_protocol_is_adapted_by_some_cases_and_signed(cli, labels, tmp_path):
    from surgical_ml.engine.signature import make_key

    make_key(tmp_path / "site.key")
    out = tmp_path / "site.yaml"
    adapted = ("learn", "adapt", "gastric_bypass", labels, "--cases", "1-3,5", "--out", out)
    assert cli(*adapted).status == 2
    assert not out.exists()
    done = cli(*adapted, "--key", tmp_path / "site.key", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["protocol"]["learned"]["cases"] == 4
    shown = cli("learn", "show", out, "--json")
    assert json.loads(shown.out)["signed_by"] == told["signed_by"]
    out.write_text(out.read_text("utf-8").replace("commit: 3 s", "commit: 9 s"), "utf-8")
    refused = cli("learn", "show", out)
    assert "expected a signature of site.yaml by the key" in refused.line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cases", "1-13"), "numbers from 1 to 12"),
        (("--cases", "2-1"), "numbers from 1 to 12"),
        (("--cases", "x"), "numbers and ranges"),
        (("--cases", "1-4"), "5 or more to learn a protocol from, found 4"),
        (("--cases", "1-5,1"), "a case that is not there already"),
        (("--procedure", "cholecystectomy"), "a label of cholecystectomy"),
        (("--procedure", "none"), "or a protocol file, found neither"),
    ],
)
def test_what_cannot_be_learned_is_one_line_and_leaves_no_file(cli, labels, tmp_path, arguments, told):
    done = cli("learn", "protocol", labels, "--out", tmp_path / "new.yaml", *arguments)
    assert told in done.line
    assert not list(tmp_path.glob("*new.yaml*"))


@pytest.mark.parametrize("name", ["cholecystectomy", "gastric_bypass", "generic"])
def test_every_shipped_protocol_can_be_shown(cli, name):
    done = cli("learn", "show", name)
    assert done.status == 0, done.err
    assert done.out.startswith(f"{name} ")
    assert all(phase in done.out for phase in load_protocol(name).phase_names)
