"""What the instruments do over time: tracks with identity, and distances to critical structures."""

from surgical_ml.geometry.scene import Distance, Scene, Track
from surgical_ml.geometry.tracker import Tracker

__all__ = ["Distance", "Scene", "Track", "Tracker"]
