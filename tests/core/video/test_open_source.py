"""One name says where frames come from."""

from pathlib import Path
from unittest.mock import patch

import pytest

from surgical_ml.errors import InputError
from surgical_ml.video import open_source


@pytest.mark.parametrize(
    ("spec", "adapter", "given"),
    [
        ("case.mp4", "file.FileSource", Path("case.mp4")),
        ("name without extension", "file.FileSource", Path("name without extension")),
        (".", "folder.FolderSource", Path()),
        ("bags/case.mcap", "mcap.McapSource", Path("bags/case.mcap")),
        ("/dev/video2", "camera.CameraSource", "/dev/video2"),
        ("v4l2:2", "camera.CameraSource", "v4l2:2"),
        ("gst:videotestsrc ! identity", "gst.GStreamerSource", "videotestsrc ! identity"),
    ],
)
def test_each_kind_of_name_finds_its_adapter(spec: str, adapter: str, given: str | Path) -> None:
    with patch(f"surgical_ml.video.{adapter}") as opened:
        assert open_source(spec, fps=12.5) is opened.return_value
    opened.assert_called_once_with(given, 12.5)


@pytest.mark.parametrize("fps", [0.0, -25.0, 1000.5, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(InputError, match=r"fps: expected a rate in \(0, 1000\] frames/s, found"):
        open_source("case.mp4", fps=fps)
