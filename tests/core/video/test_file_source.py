"""A video file gives every frame once, in order and in media time, or one line that says what it is instead."""

from collections.abc import Callable
from pathlib import Path

import pytest

from surgical_ml.errors import InputError
from surgical_ml.video import open_source

WriteVideo = Callable[..., Path]


def test_frames_come_in_order_with_media_time(tmp_path: Path, write_video: WriteVideo) -> None:
    with open_source(str(write_video(tmp_path / "case.mp4"))) as source:
        frames = list(source)
    info = source.info
    assert (info.name, info.width, info.height, info.fps) == ("case.mp4", 64, 48, 25.0)
    assert (info.frames, info.live) == (20, False)
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.stamp_ns for frame in frames] == [40_000_000 * k for k in range(20)]
    assert [round((float(frame.image.mean()) - 20) / 10) for frame in frames] == list(range(20))


def test_a_rate_that_is_given_makes_the_stamps(tmp_path: Path, write_video: WriteVideo) -> None:
    with open_source(str(write_video(tmp_path / "case.mp4", frames=4)), fps=29.97) as source:
        assert [frame.stamp_ns for frame in source] == [round(k * 1e9 / 29.97) for k in range(4)]
    assert source.info.fps == 29.97


def test_a_source_may_be_closed_twice(tmp_path: Path, write_video: WriteVideo) -> None:
    with open_source(str(write_video(tmp_path / "case.mp4", frames=2))) as source:
        source.close()


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "no file"), (b"", "an empty file"), (b"not a video\n" * 50, "600 bytes that are none")],
)
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "case.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        open_source(str(path))
    assert (refused.value.thing, refused.value.found) == (str(path), found)
    assert "\n" not in str(refused.value)


def test_a_truncated_file_without_its_index_is_refused_at_once(tmp_path: Path, write_video: WriteVideo) -> None:
    path = write_video(tmp_path / "case.mp4")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"case\.mp4: expected a video that can be decoded"):
        open_source(str(path))


@pytest.mark.parametrize(("name", "codec"), [("case.avi", "MJPG"), ("case.mkv", "mp4v")])
def test_a_truncated_file_that_still_opens_is_refused_where_it_ends(
    tmp_path: Path, write_video: WriteVideo, name: str, codec: str
) -> None:
    path = write_video(tmp_path / name, frames=23, codec=codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    seen = 0
    with open_source(str(path)) as source, pytest.raises(InputError, match=r"expected 23 frames.*found"):
        for _ in source:
            seen += 1
    assert seen < 23
