"""Frames, where they come from, where in them the picture is, and whether it is one."""

from surgical_ml.video.content import ContentArea, ContentTracker
from surgical_ml.video.frame import Frame, Image
from surgical_ml.video.pacing import paced
from surgical_ml.video.quality import Quality, QualityMonitor, QualityState
from surgical_ml.video.slot import Slot
from surgical_ml.video.source import Source, SourceInfo, open_source

__all__ = [
    "ContentArea",
    "ContentTracker",
    "Frame",
    "Image",
    "Quality",
    "QualityMonitor",
    "QualityState",
    "Slot",
    "Source",
    "SourceInfo",
    "open_source",
    "paced",
]
