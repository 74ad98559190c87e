"""A GStreamer pipeline is read as it is: live or recorded, whatever its width, and its complaints are one line."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.video import Frame, open_source
from surgical_ml.video.gst import GStreamerSource, _gstreamer


def _missing() -> str:
    try:
        gst, _ = _gstreamer()
    except InputError as error:
        return str(error)
    lacking = [name for name in ("videotestsrc", "rawvideoparse", "deinterlace") if not gst.ElementFactory.find(name)]
    return f"GStreamer lacks {', '.join(lacking)}" if lacking else ""


MISSING = _missing()
pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING}; the packages of apt.txt bring it"),
]

LIVE = "videotestsrc is-live=true ! video/x-raw,width=32,height=32,framerate={rate}"


@pytest.fixture
def opened() -> Iterator[Callable[..., GStreamerSource]]:
    """Opens pipelines, and closes them whatever becomes of the test."""
    sources: list[GStreamerSource] = []

    def open_pipeline(pipeline: str, fps: float | None = None, **keywords: float) -> GStreamerSource:
        sources.append(GStreamerSource(pipeline, fps, **keywords))
        return sources[-1]

    yield open_pipeline
    for source in sources:
        source.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; a minute is a failure."""
    ends = time.monotonic() + 60
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < ends, "waited for a minute"
        pause.wait(0.001)


def raw(path: Path, pictures: np.ndarray, more: str = "", padding: int = 0) -> str:
    """A pipeline that reads BGR pictures (n, H, W, 3) from a file of nothing but pixels, and padding after each row."""
    count, height, width, _ = pictures.shape
    rows = np.pad(pictures.reshape(count, height, 3 * width), ((0, 0), (0, 0), (0, padding)), constant_values=255)
    path.write_bytes(rows.tobytes())
    return (
        f"filesrc location={path} ! rawvideoparse format=bgr width={width} height={height} framerate=25/1 "
        f"plane-strides=<{3 * width + padding}> {more}".rstrip()
    )


def test_a_pipeline_that_ends_gives_all_its_pictures(opened: Callable[..., GStreamerSource]) -> None:
    source = opened("videotestsrc num-buffers=7 ! video/x-raw,width=320,height=240,framerate=25/1")
    frames = list(source)
    info = source.info
    assert (info.width, info.height, info.fps, info.live) == (320, 240, 25.0, False)
    assert [frame.index for frame in frames] == list(range(7))
    assert [frame.stamp_ns for frame in frames] == [40_000_000 * k for k in range(7)]


def test_a_recorded_pipeline_waits_for_a_slow_reader(tmp_path: Path, opened: Callable[..., GStreamerSource]) -> None:
    pictures = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((12, 8, 8, 3), np.uint8)
    source = opened(raw(tmp_path / "pictures", pictures))
    gst, _ = _gstreamer()
    arrived: list[int] = []  # after the first, which arrived while the pipeline was opened

    def count(_: object, info: object) -> object:
        arrived.append(len(arrived))
        return gst.PadProbeReturn.OK

    source._sink.get_static_pad("sink").add_probe(gst.PadProbeType.BUFFER, count)
    seen = []
    for frame in source:
        seen.append(int(frame.image[0, 0, 0]))
        until(lambda: len(arrived) >= min(len(seen), 11))
    assert seen == list(range(12))


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 67), height=st.integers(1, 9), padding=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))
def test_pixels_arrive_as_they_are_at_any_width_and_padding(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, padding: int, seed: int
) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), np.uint8)
    path = tmp_path_factory.getbasetemp() / "any-width"
    with GStreamerSource(raw(path, pictures, padding=padding)) as source:
        frames = list(source)
    assert len(frames) == 2
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.image, picture)


@pytest.mark.parametrize("form", ["I420", "NV12", "YUY2", "UYVY", "RGB", "BGRA", "GRAY8", "v210"])
@pytest.mark.parametrize("width", [320, 33])
def test_the_formats_of_cameras_and_cards_become_bgr(
    opened: Callable[..., GStreamerSource], form: str, width: int
) -> None:
    (frame,) = opened(f"videotestsrc num-buffers=1 pattern=red ! video/x-raw,format={form},width={width},height=16")
    assert frame.image.shape == (16, width, 3)
    blue, green, red = frame.image.reshape(-1, 3).mean(axis=0)
    if form == "GRAY8":
        assert blue == green == red
    else:
        assert red > 240
        assert max(blue, green) < 15


def test_a_live_pipeline_is_stamped_when_it_acquired_on_the_monotonic_clock(
    opened: Callable[..., GStreamerSource],
) -> None:
    before = time.monotonic_ns()
    source = opened(LIVE.format(rate="100/1"))
    assert source.info.live
    stamps = []
    for frame in source:
        stamps.append(frame.stamp_ns)
        if len(stamps) == 8:
            break
    assert before < stamps[0]
    assert stamps[-1] < time.monotonic_ns()
    assert all(a < b for a, b in pairwise(stamps))


def test_a_live_pipeline_drops_what_nobody_takes_and_says_so_in_the_index(
    opened: Callable[..., GStreamerSource],
) -> None:
    source = opened(LIVE.format(rate="200/1"))
    frames = iter(source)
    first = next(frames)
    until(lambda: source._numbered > first.index + 12)
    later = next(frames)
    assert later.index - first.index > 5
    period_ns = (later.stamp_ns - first.stamp_ns) / (later.index - first.index)
    assert period_ns == pytest.approx(5_000_000, rel=0.01)


def test_closing_releases_a_reader_that_waits(opened: Callable[..., GStreamerSource]) -> None:
    source = opened(LIVE.format(rate="1/30"), wait_s=60.0)
    seen: list[Frame] = []
    reader = threading.Thread(target=lambda: seen.extend(source))
    reader.start()
    until(lambda: bool(seen))
    source.close()
    reader.join(timeout=30)
    assert not reader.is_alive()
    assert len(seen) == 1


def test_a_closed_source_gives_nothing(opened: Callable[..., GStreamerSource]) -> None:
    source = opened("videotestsrc")
    source.close()
    assert list(source) == []


def combed(tmp_path: Path) -> str:
    """Four pictures of a bright bar that is 24 pixels further right in the second field than in the first."""
    pictures = np.full((4, 64, 96, 3), 30, np.uint8)
    pictures[:, 0::2, 20:40] = 220
    pictures[:, 1::2, 44:64] = 220
    return raw(tmp_path / "interlaced", pictures, "interlaced=true top-field-first=true")


def comb(frames: list[Frame]) -> float:
    """How much neighbouring rows differ, 0..255."""
    rows = np.stack([frame.image[8:-8, :, 1] for frame in frames]).astype(np.int16)
    return float(np.abs(np.diff(rows, axis=1)).mean())


def test_interlaced_video_is_deinterlaced_where_the_pipeline_says_so(
    tmp_path: Path, opened: Callable[..., GStreamerSource]
) -> None:
    as_it_is = list(opened(combed(tmp_path)))
    progressive = list(opened(f"{combed(tmp_path)} ! deinterlace"))
    assert len(as_it_is) == 4
    assert comb(as_it_is) > 50
    assert comb(progressive) < 0.1 * comb(as_it_is)
    # Each field is a picture of its own: twice as many, half as far apart.
    assert len(progressive) == pytest.approx(8, abs=1)
    assert {b.stamp_ns - a.stamp_ns for a, b in pairwise(progressive)} == {20_000_000}


@pytest.mark.parametrize(
    ("pipeline", "complaint"),
    [
        ("", "a valid pipeline, found .*syntax error"),
        ("videotestsrc !", "a valid pipeline, found .*syntax error"),
        ("nosuchelement", 'a valid pipeline, found .*no element "nosuchelement"'),
        ("audiotestsrc", "a valid pipeline, found .*could not link"),
        ("videotestsrc pattern=nonsense", "a valid pipeline, found .*pattern"),
        (
            "filesrc location=/nowhere.avi ! decodebin",
            r'a first picture within 5 s, found .*No such file "/nowhere\.avi"',
        ),
        (f"filesrc location={__file__} ! decodebin", "a first picture within 5 s, found .*text"),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused_with_its_own_complaint(pipeline: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as refused:
        open_source(f"gst:{pipeline}")
    assert refused.value.thing == f"gst:{pipeline}"
    assert "\n" not in str(refused.value)


def test_a_pipeline_that_fails_on_its_way_is_not_taken_for_one_that_ends(
    opened: Callable[..., GStreamerSource],
) -> None:
    source = opened("videotestsrc ! video/x-raw,width=8,height=8 ! identity error-after=4")
    seen = []
    with pytest.raises(InputError, match=r"expected another picture, found .*Failed after iterations as requested"):
        seen.extend(frame.index for frame in source)
    assert seen == [0, 1, 2][: len(seen)]


def test_a_pipeline_that_falls_silent_is_refused_after_its_wait(opened: Callable[..., GStreamerSource]) -> None:
    source = opened(LIVE.format(rate="1/60"), wait_s=0.2)
    with pytest.raises(InputError, match=r"expected another picture within 0\.2 s, found none"):
        list(source)


UNSTAMPED = (
    "fakesrc num-buffers=3 sizetype=fixed sizemax={size} filltype=zero ! "
    "video/x-raw,format=BGR,width=32,height=32,framerate=25/1"
)


def test_pictures_without_stamps_need_a_rate(opened: Callable[..., GStreamerSource]) -> None:
    with pytest.raises(InputError, match="expected pictures with a stamp, found picture 0 without one"):
        list(opened(UNSTAMPED.format(size=3072)))
    frames = list(opened(UNSTAMPED.format(size=3072), 10.0))
    assert [frame.stamp_ns for frame in frames] == [0, 100_000_000, 200_000_000]


def test_a_buffer_too_small_for_its_picture_is_refused(opened: Callable[..., GStreamerSource]) -> None:
    with pytest.raises(InputError, match="expected 3072 bytes for 32 rows of 96, 32 pixels each, found 3000"):
        list(opened(UNSTAMPED.format(size=3000), 10.0))


def test_without_the_bindings_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = list(sys.path)
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(InputError, match=r"GStreamer: expected python3-gi for this Python \(see apt\.txt\)"):
        open_source("gst:videotestsrc")
    assert sys.path == path


def test_other_libraries_survive_their_own_exceptions_beside_gstreamer(tmp_path: Path) -> None:
    """A network that is none, loaded after GStreamer, is still one line and not the end of the process."""
    script = (
        "import sys; from pathlib import Path; import cv2\n"
        "from surgical_ml.engine import open_engine\n"
        "from surgical_ml.errors import InputError\n"
        "from surgical_ml.video import open_source\n"
        "with open_source('gst:videotestsrc num-buffers=1') as source:\n"
        "    list(source)\n"
        "try:\n"
        "    open_engine('onnxruntime', Path(sys.argv[1]))\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    (tmp_path / "bad.onnx").write_text("not a network")
    command = [sys.executable, "-c", script, tmp_path / "bad.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "bad.onnx: expected a network that ONNX Runtime can load" in done.stdout
