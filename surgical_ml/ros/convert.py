"""From decisions to messages; nothing is decided here."""

from builtin_interfaces.msg import Duration, Time
from std_msgs.msg import Header
from surgical_ml_msgs import msg

from surgical_ml.decision import Decision
from surgical_ml.geometry import Track
from surgical_ml.guidance import Advisory, Validity

NS_PER_S = 1_000_000_000
WITHHELD = msg.Phase.VALIDITY_WITHHELD
_SHOWN = (Validity.OK, Validity.DEGRADED)


def time_of(ns: int | None) -> Time:
    """A stamp in nanoseconds; zero for None."""
    seconds, rest = divmod(max(0, ns or 0), NS_PER_S)
    return Time(sec=seconds, nanosec=rest)


def duration_of(ns: int) -> Duration:
    """A span in nanoseconds."""
    seconds, rest = divmod(max(0, ns), NS_PER_S)
    return Duration(sec=seconds, nanosec=rest)


def _constant(kind: type, prefix: str, name: str) -> int:
    return int(getattr(kind, f"{prefix}_{name.upper()}"))


def validity_of(validity: Validity) -> int:
    """The constant of a validity; the same in every message."""
    return _constant(msg.Phase, "VALIDITY", validity.value)


class Converter:
    """Writes the messages of one case.

    Args:
        offset_ns: added to the stamps of frames, which may count from boot, to reach the ROS clock.
        frame_id: the camera's.
    """

    def __init__(self, offset_ns: int, frame_id: str) -> None:
        self._offset_ns = offset_ns
        self._frame_id = frame_id

    def _time(self, ns: int | None) -> Time:
        return time_of(None if ns is None else ns + self._offset_ns)

    def header(self, ns: int | None) -> Header:
        """A header with the stamp of a frame."""
        return Header(stamp=self._time(ns), frame_id=self._frame_id)

    def phase(self, decision: Decision, procedure: str, phases: tuple[str, ...], withheld: str = "") -> msg.Phase:
        """The message of a judged frame; `withheld` is a reason that arose after it was judged."""
        shown = decision.validity in _SHOWN and not withheld
        message = msg.Phase(
            header=self.header(decision.stamp_ns),
            seq=decision.seq,
            validity=WITHHELD if withheld else validity_of(decision.validity),
            withheld_reason=withheld or decision.withheld,
            frame_index=decision.index or 0,
            input_sha256=decision.input_sha256,
        )
        estimate = decision.phase
        if not shown or estimate is None:
            return message
        message.degraded = list(decision.degraded)
        message.procedure = procedure
        message.committed = estimate.committed or ""
        if estimate.committed_since_ns is not None:
            message.committed_since = self._time(estimate.committed_since_ns)
        message.candidate = estimate.candidate or ""
        message.certainty = _constant(msg.Phase, "CERTAINTY", estimate.certainty.value)
        message.phases = list(phases)
        message.belief_ppm = list(estimate.belief_ppm)
        message.next_phase = estimate.next_phase or ""
        message.next_ppm = estimate.next_ppm
        message.progress_ppm = estimate.progress_ppm
        message.evidence = duration_of(estimate.evidence_ns)
        return message

    def instruments(self, decision: Decision, withheld: str = "") -> msg.InstrumentArray:
        """The instruments of a judged frame."""
        message = msg.InstrumentArray(
            header=self.header(decision.stamp_ns),
            seq=decision.seq,
            validity=WITHHELD if withheld else validity_of(decision.validity),
            withheld_reason=withheld or decision.withheld,
        )
        if withheld or decision.validity not in _SHOWN:
            return message
        if decision.observation is not None:
            message.image_width, message.image_height = decision.observation.size_px
        message.instruments = [self._instrument(track) for track in decision.instruments]
        return message

    def _instrument(self, track: Track) -> msg.Instrument:
        x, y = track.tip_px or (0, 0)
        return msg.Instrument(
            track=track.id,
            type=track.type,
            seen=track.seen,
            has_tip=track.tip_px is not None,
            tip_x_px=x,
            tip_y_px=y,
            speed_px_s=track.speed_px_s,
            score_ppm=track.score_ppm,
            area_px=track.area_px,
            first_seen=self._time(track.first_ns),
            last_seen=self._time(track.last_ns),
            last_frame=track.last_index,
        )

    def guidance(self, decision: Decision, withheld: str = "") -> msg.Guidance:
        """What comes next, with its end of validity."""
        message = msg.Guidance(
            header=self.header(decision.stamp_ns),
            seq=decision.seq,
            validity=WITHHELD if withheld else validity_of(decision.validity),
            withheld_reason=withheld or decision.withheld,
        )
        given = decision.guidance
        if withheld or decision.validity not in _SHOWN or given is None:
            return message
        message.valid_until = self._time(given.valid_until_ns)
        message.phase = given.phase or ""
        message.next_phase = given.next_phase or ""
        message.expected_instruments = list(given.expected_instruments)
        if given.nearest is not None:
            message.has_nearest = True
            message.nearest_instrument, message.nearest_structure, message.nearest_distance_px = given.nearest
        message.progress_ppm = given.progress_ppm
        message.uncertain = list(given.uncertain)
        return message

    def advisory(self, advisory: Advisory) -> msg.Advisory:
        """One advisory with its reason."""
        reason = advisory.reason
        return msg.Advisory(
            code=advisory.code,
            subject=advisory.subject,
            kind=_constant(msg.Advisory, "KIND", advisory.kind.value),
            priority=_constant(msg.Advisory, "PRIORITY", advisory.priority.value),
            presence=_constant(msg.Advisory, "PRESENCE", advisory.presence.value),
            onset=self._time(advisory.onset_ns),
            announced=self._time(advisory.announced_ns),
            text=advisory.text,
            reason=msg.Reason(
                rule=reason.rule,
                expected=list(reason.expected),
                observed=list(reason.observed),
                evidence_frames=list(reason.evidence_frames),
                certainty=_constant(msg.Reason, "CERTAINTY", str(reason.certainty)),
                degraded_inputs=list(reason.degraded_inputs),
                clears=reason.clears,
            ),
        )

    def advisories(
        self, decision: Decision, case: str, published: Time, withheld: str = "", extra: tuple[Advisory, ...] = ()
    ) -> msg.AdvisoryArray:
        """The full active set; `extra` are of what arose after the decision, and take the place of the same in it."""
        arisen = {(one.code, one.subject) for one in extra}
        kept = [one for one in decision.advisories if (one.code, one.subject) not in arisen]
        listed = [self.advisory(advisory) for advisory in (*extra, *kept)]
        return msg.AdvisoryArray(
            header=self.header(decision.judged_ns),
            seq=decision.seq,
            validity=WITHHELD if withheld else validity_of(decision.validity),
            withheld_reason=withheld or decision.withheld,
            published=published,
            case_id=case,
            sender="assistant",
            highest_priority=max((advisory.priority for advisory in listed), default=0),
            advisories=listed,
        )
