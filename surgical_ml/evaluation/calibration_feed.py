"""What tells a session whether its calibration still holds, made of its own events and outside of every decision."""

import json
from collections import deque
from collections.abc import Callable

import numpy as np

from surgical_ml.calibration.davinci_arm import psm_shaft_m
from surgical_ml.calibration.measure import Arm, Measurer
from surgical_ml.calibration.model import Validity, WithLens
from surgical_ml.calibration.validity import Residual, stamp_residuals
from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.events import RobotState
from surgical_ml.session import Assets
from surgical_ml.video import Frame

STAMP_EVERY_NS = 60_000_000_000
"""Between two looks at age and temperature, neither of which is in a hurry."""

JOINTS, TIP, TEMPERATURE = "measured_js", "local/measured_cp", "temperature"
"""How the topics end that are listened to: `PSM1/measured_js`, `PSM1/local/measured_cp` (in the arm's own base)."""


class CalibrationFeed:
    """Makes residuals, events of a `Session`, of the frames that it judged and of what the robot said meanwhile.

    They are recorded like any other event, so that a record is run again without measuring anything. What the robot says
    may come from another thread than the frames.

    Args:
        measurer: of the calibration and the arms.
        validity: of the calibration.
        utc_now: the present instant, as `2026-11-25T08:00:00Z`; None of a recording, whose age nobody knows.
    """

    def __init__(self, measurer: Measurer, validity: Validity, utc_now: Callable[[], str] | None = None) -> None:
        self._measurer, self._validity, self._utc_now = measurer, validity, utc_now
        self._heard: deque[RobotState] = deque(maxlen=256)
        self._temperature_c: float | None = None
        self._stamped_ns: int | None = None

    @classmethod
    def of(cls, assets: Assets, utc_now: Callable[[], str] | None = None) -> "CalibrationFeed | None":
        """Of a case's calibrations; None where none is of a camera.

        Raises:
            InputError: an arm's calibration is not of a camera in its base.
        """
        calibration = assets.calibration
        if not isinstance(calibration, WithLens):
            return None
        diameter_m = assets.config.shaft_diameter_mm / 1000
        arms = {name: Arm.of(name, hand_eye, diameter_m) for name, hand_eye in assets.hand_eyes.items()}
        return cls(Measurer(calibration, arms), calibration.validity, utc_now)

    def hear(self, state: RobotState) -> None:
        """Take what the robot said, from any thread; nothing of it is looked at before the next frame."""
        if state.valid and state.source.endswith((JOINTS, TIP, TEMPERATURE)):
            self._heard.append(state)

    def due(self, frame: Frame) -> bool:
        """Whether a frame should be looked at; about one in a second is."""
        return self._measurer.due(frame.stamp_ns)

    def look(self, frame: Frame, decision: Decision) -> tuple[Residual, ...]:
        """Residuals of one frame and of what was said until then; it takes about 0.1 s for a 1080p picture.

        Args:
            frame: that is due.
            decision: about it.
        """
        while self._heard:
            self._say(self._heard.popleft())
        found = self._stamps(frame.stamp_ns)
        seen = decision.observation
        if seen is None or not seen.admitted:
            return found
        tips = [one.tip_px for one in seen.instruments if one.tip_px is not None]
        return (*found, *self._measurer.look(frame, tips))

    def _stamps(self, stamp_ns: int) -> tuple[Residual, ...]:
        if self._stamped_ns is not None and stamp_ns - self._stamped_ns < STAMP_EVERY_NS:
            return ()
        self._stamped_ns = stamp_ns
        now = None if self._utc_now is None else self._utc_now()
        return stamp_residuals(stamp_ns, self._validity, now, self._temperature_c)

    def _say(self, state: RobotState) -> None:
        arm, values = state.source.partition("/")[0], dict(state.values)
        try:
            if state.source.endswith(TEMPERATURE):
                self._temperature_c = float(values["temperature"])
            elif state.source.endswith(JOINTS):
                joints = np.atleast_1d(np.array(json.loads(values["position"]), np.float64))
                self._measurer.say_shaft(arm, state.stamp_ns, psm_shaft_m(joints))
            else:
                tip_m = np.array([float(values[f"pose.position.{axis}"]) for axis in "xyz"])
                self._measurer.say_tip(arm, state.stamp_ns, tip_m)
        except (KeyError, TypeError, ValueError, InputError):
            return  # a message of another kind than a da Vinci's says nothing about a shaft
