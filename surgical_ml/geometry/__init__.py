"""What the instruments do over time: tracks with identity, and distances to critical structures."""

from surgical_ml.geometry.scene import Distance, Interval, MetricDistance, Scene, Track, View
from surgical_ml.geometry.tracker import Tracker
from surgical_ml.geometry.zones import Zones, read_zones

__all__ = [
    "Distance",
    "Interval",
    "MetricDistance",
    "Scene",
    "Track",
    "Tracker",
    "View",
    "Zones",
    "read_zones",
]
