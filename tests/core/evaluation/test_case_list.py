"""Which cases a folder holds: three layouts, and one clear error for what is none of them."""

from pathlib import Path

import pytest

from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_list import CASE_FOLDERS, CHOLEC80, FLAT, digest_video, list_cases


def lay(folder: Path, *names: str) -> Path:
    """Files of these paths, each with its own path in it."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        list_cases(folder)
    return str(refused.value)


def test_case_folders_come_in_the_order_of_their_numbers_each_with_its_truth(tmp_path: Path) -> None:
    names = [f"case{k}/{file}" for k in (10, 9) for file in ("video.mp4", "video-phase.txt")]
    listed = list_cases(lay(tmp_path, *names, "notes.txt", ".cache/x"))
    assert listed.layout == CASE_FOLDERS
    assert [case.name for case in listed.cases] == ["case9", "case10"]
    assert listed.cases[0].video == tmp_path / "case9" / "video.mp4"
    assert listed.cases[0].truth == tmp_path / "case9"
    assert listed.labelled


def test_case_folders_without_labels_have_no_truth(tmp_path: Path) -> None:
    listed = list_cases(lay(tmp_path, "a/video.mp4", "b/video.mp4"))
    assert [case.truth for case in listed.cases] == [None, None]
    assert not listed.labelled


def test_cholec80_is_known_by_its_three_folders(tmp_path: Path) -> None:
    names = [
        place + f"/video{k:02d}" + end
        for k in (1, 2)
        for place, end in (
            ("videos", ".mp4"),
            ("phase_annotations", "-phase.txt"),
            ("tool_annotations", "-tool.txt"),
            ("videos", "-timestamp.txt"),
        )
    ]
    listed = list_cases(lay(tmp_path, *names))
    assert listed.layout == CHOLEC80
    assert [(case.name, case.truth) for case in listed.cases] == [("video01", tmp_path), ("video02", tmp_path)]


def test_a_flat_folder_holds_videos_bags_and_folders_of_pictures(tmp_path: Path) -> None:
    listed = list_cases(lay(tmp_path, "b.MKV", "a.mcap", "c/0.png", "c/1.png", "notes.txt"))
    assert listed.layout == FLAT
    assert [(case.name, case.video.name) for case in listed.cases] == [("a", "a.mcap"), ("b", "b.MKV"), ("c", "c")]
    assert not listed.labelled


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "found none"),
        (("a/video.mp4", "plots/x.txt"), "plots: expected a case folder with video.mp4"),
        (("a.mp4", "a.avi"), "a.avi and a.mp4"),
        (("a.mp4", "a/0.png"), "a and a.mp4"),
        (("a.mp4", "empty/x.txt"), "empty: expected a folder with images"),
        (("a/video.mp4", "b/video.mp4", "b/video-phase.txt"), "labels of every case, or of none, found none of a"),
        (("videos/video01.mp4", "phase_annotations/video07-phase.txt"), "found some of video07"),
        (
            ("videos/video01.mp4", "videos/video02.mp4", "tool_annotations/video01-tool.txt"),
            "labels of every case, or of none, found none of video02",
        ),
    ],
)
def test_what_is_no_list_of_cases_is_one_clear_error(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    assert said in refusal(lay(tmp_path, *names))


def test_a_folder_that_is_missing_or_a_file_is_named(tmp_path: Path) -> None:
    assert "expected a folder of cases, found none" in refusal(tmp_path / "nowhere")
    assert "expected a folder of cases, found a file" in refusal(lay(tmp_path, "a.mp4") / "a.mp4")


def test_the_digest_of_a_folder_follows_names_and_content_of_its_pictures_only(tmp_path: Path) -> None:
    def digest(*names: str) -> str:
        digests.append(digest_video(lay(tmp_path / str(len(digests)), *names)))
        return digests[-1]

    digests: list[str] = []
    first = digest("a.png", "b.png")
    assert digest("b.png", "a.png", "notes.txt") == first
    assert digest("a.png", "c.png") != first
    (tmp_path / "0" / "a.png").write_text("another")
    assert digest_video(tmp_path / "0") != first
