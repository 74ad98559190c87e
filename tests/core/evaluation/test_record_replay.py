"""A record run again: from its video, from what was seen, and with something changed."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from surgical_ml.audit import AuditWriter, Keyring, read
from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.evaluation.record_replay import replay_record
from surgical_ml.events import Action, OperatorAction
from surgical_ml.session import Assets
from surgical_ml.simulation import Renderer, plan_case
from surgical_ml.video import Frame, open_source

FPS, FRAMES = 4.0, 40


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Ten seconds from the middle of a synthetic operation, where tools and structures are seen."""
    folder = tmp_path_factory.mktemp("pictures")
    renderer = Renderer(plan_case(7, duration_s=60.0), (320, 192))
    for k in range(FRAMES):
        cv2.imwrite(str(folder / f"{k:03d}.png"), renderer.at(20.0 + k / FPS).image)
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory, pictures) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    with (
        AuditWriter(folder / "audit", keyring=Keyring(folder / "keys")) as writer,
        open_source(str(pictures), fps=FPS) as source,
    ):
        session = Assets.load(CaseConfig.of({"nominal_fps": FPS, "time_scale": 15.0})).open(writer, case="one")
        session.step(OperatorAction(0, Action.START))
        for frame in source:
            session.step(frame)
    return folder / "audit"


def of_frames(log: Path) -> list[dict[str, object]]:
    bodies = [entry["body"] for _, entry in read(log) if entry["type"] == "decision"]
    return [body for body in bodies if body["event"]["kind"] == "frame"]


def test_a_case_comes_out_the_same_from_its_video(log, pictures):
    found = replay_record(log, str(pictures), fps=FPS)
    assert (found.same, found.compared, found.from_record, found.changed) == (True, FRAMES + 1, (), ())


def test_a_case_without_pictures_comes_out_the_same_from_what_was_seen(log):
    assert any(body["seen"]["grid"] for body in of_frames(log)), "no structure was seen: the test shows nothing"
    found = replay_record(log)
    assert found.same, found.differences[:1]
    assert found.compared == FRAMES + 1
    assert found.from_record == tuple(range(FRAMES))


def test_what_is_recorded_of_a_frame_is_small(log):
    sizes = [len(json.dumps(body["seen"], separators=(",", ":"))) for body in of_frames(log)]
    assert max(sizes) <= 2000


def test_frames_that_were_not_kept_are_listed_and_the_rest_is_computed_from_what_was_seen(log, pictures, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in sorted(pictures.iterdir())[:25]:
        (kept / path.name).symlink_to(path)
    found = replay_record(log, str(kept), fps=FPS)
    assert found.missing_frames == found.from_record == tuple(range(25, FRAMES))
    assert (found.same, found.differences, found.compared) == (False, (), FRAMES + 1)


def test_a_changed_frame_is_named_as_another_picture(log, pictures, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(pictures.iterdir()):
        (other / path.name).symlink_to(path)
    (other / "010.png").unlink()
    (other / "010.png").symlink_to(pictures / "030.png")
    found = replay_record(log, str(other), fps=FPS)
    first = found.differences[0]
    assert (first.event["index"], first.why) == (10, "another picture")
    assert all(one.why.startswith(("the networks", "the same was seen; follows")) for one in found.differences[1:])


def test_a_changed_setting_is_named_with_the_decisions_that_differ(log):
    found = replay_record(log, changes={"time_scale": 60.0})
    assert [one.name for one in found.changed] == ["config"]
    assert found.differences
    assert found.differences[0].why == "the same was seen; changed: config"


def test_a_changed_weight_is_named_with_the_decisions_that_differ(log, pictures, monkeypatch):
    """The networks of another model: what they see of the same picture differs, and so do decisions."""
    real = Assets.load

    def other(config: CaseConfig) -> Assets:
        assets = real(config)
        perceive = assets.perceiver.perceive

        def biased(frame: Frame, *stage: object):
            seen = perceive(frame, *stage)
            return replace(seen, phase_ppm=seen.phase_ppm[::-1], progress_ppm=seen.progress_ppm + 1)

        monkeypatch.setattr(assets.perceiver, "perceive", biased)
        return replace(assets, model=replace(assets.model, sha256="0" * 64))

    monkeypatch.setattr(Assets, "load", other)
    found = replay_record(log, str(pictures), fps=FPS)
    assert [one.name for one in found.changed] == ["model"]
    assert "the networks saw otherwise: phase_ppm" in found.differences[0].why
    assert "another model" in found.differences[0].why


def test_a_record_that_tells_nothing_of_a_frame_is_refused_by_the_frame(tmp_path, log):
    with AuditWriter(tmp_path / "audit") as writer:
        for _, entry in read(log):
            body = entry["body"]
            if entry["type"] == "decision" and body["event"]["kind"] == "frame":
                body["seen"] = {}
            writer.append(entry["type"], body, case=entry["case"])
    with pytest.raises(InputError, match="frame 0: expected what was seen of it"):
        replay_record(tmp_path / "audit")
