"""What a careful controller makes of the assistant's messages, in words. No clock and no ROS node in here."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from surgical_ml_msgs.msg import Advisory, AdvisoryArray, Guidance, InstrumentArray, Phase, Reason, Status

from surgical_ml.ros.watchdog_rules import StatusSeen

MS = 1_000_000
OLDEST_NS = 300 * MS
"""An older answer is about a scene that has passed, and is not used."""

SILENCE_NS = {
    "phase": 300 * MS,
    "status": 1_000 * MS,
    "advisories": 1_000 * MS,
    "watchdog/advisories": 1_000 * MS,
}
"""How long each topic may be without a message; `phase` only while a case runs."""

NOT_SAFE = "the robot has no guidance now, and takes that for no sign of safety"
SENDERS = {"advisories": "assistant", "watchdog/advisories": "watchdog"}
SHOWN = (Phase.VALIDITY_OK, Phase.VALIDITY_DEGRADED)


def _names(kind: type, prefix: str) -> dict[int, str]:
    names = [name for name in dir(type(kind)) if name.startswith(prefix)]
    return {getattr(kind, name): name.removeprefix(prefix) for name in names}


VALIDITY = _names(Phase, "VALIDITY_")
CERTAINTY = {number: word.lower() for number, word in _names(Reason, "CERTAINTY_").items()}
PRIORITY = {number: word.lower() for number, word in _names(Advisory, "PRIORITY_").items()}
PRESENCE = _names(Advisory, "PRESENCE_")
KIND = {number: word.lower() for number, word in _names(Advisory, "KIND_").items()}


def _ns(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def reason_in_words(reason: Reason) -> str:
    """The whole reason of an advisory in one line."""
    frames = ", ".join(str(index) for index in reason.evidence_frames) or "none"
    parts = [
        f"expected {', '.join(reason.expected) or 'nothing'}",
        f"observed {', '.join(reason.observed) or 'nothing'}",
        f"evidence frames {frames}",
        f"certainty {CERTAINTY.get(reason.certainty, reason.certainty)}",
        f"clears with: {reason.clears}",
    ]
    if reason.degraded_inputs:
        parts.insert(4, f"poor inputs {', '.join(reason.degraded_inputs)}")
    return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Heard:
    """An advisory that was announced, for the summary."""

    sender: str
    code: str
    subject: str
    kind: str
    priority: str
    text: str
    reason: str


class Listener:
    """Judges what it hears by validity, age and time, and says each change in one line.

    Silence is never taken for safety, and neither is an empty list: both are said to be what they are.

    Args:
        say: takes each line.

    Attributes:
        began, ended: a case has begun; a case that began has ended. One that its assistant lost has not ended.
        counts: messages of each topic.
        phases: committed phases in the order in which they were seen.
        instruments: types of instruments, in the order in which they were seen.
        advisories: each that was announced, once per announcement.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.began = self.ended = False
        self.counts: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.phases: list[str] = []
        self.instruments: list[str] = []
        self.advisories: list[Heard] = []
        self._received_ns: dict[str, int] = {}
        self._silent: set[str] = set()
        self._status: StatusSeen | None = None
        self._case, self._lost_case = "", False
        self._running_ns: int | None = None
        self._alive = True
        self._phase: Phase | None = None
        self._usable: bool | None = None
        self._validity: dict[str, tuple[int, str]] = {}
        self._lists: dict[str, dict[tuple[str, str], Advisory]] = {sender: {} for sender in SENDERS.values()}
        self._guided = ("", "")
        self._guidance_until_ns: int | None = None

    def hear(self, topic: str, message: Any, now_ns: int, ros_ns: int) -> None:
        """Take a message.

        Args:
            topic: its name below the assistant's namespace.
            message: any of the assistant's or the watchdog's.
            now_ns: time of receipt on a monotonic clock.
            ros_ns: the same moment on the ROS clock.
        """
        self.counts[topic] += 1
        self._received_ns[topic] = now_ns
        if topic in self._silent:
            self._silent.discard(topic)
            self._say(f"{topic} is heard again")
        match message:
            case Phase():
                self._hear_phase(message, ros_ns)
            case InstrumentArray():
                self._hear_instruments(message)
            case Guidance():
                self._hear_guidance(message, ros_ns)
            case AdvisoryArray():
                self._hear_list(topic, message, ros_ns)
            case Status():
                self._hear_status(message, now_ns)
        self._judge(now_ns, ros_ns)

    def notice(self, topic: str, event: str, now_ns: int, ros_ns: int) -> None:
        """Take an event of the middleware: `deadline-missed`, `lease-lost`, `lease-held`."""
        self.events[f"{topic} {event}"] += 1
        if topic == "phase" and event.startswith("lease-"):
            self._alive = event == "lease-held"
        self._judge(now_ns, ros_ns)

    def check(self, now_ns: int, ros_ns: int) -> None:
        """Notice what did not come; to be called a few times a second."""
        for topic, longest_ns in SILENCE_NS.items():
            since_ns = self._received_ns.get(topic)
            if topic == "phase":
                if self._running_ns is None:
                    self._silent.discard(topic)
                    continue
                since_ns = max(since_ns or 0, self._running_ns)
            if since_ns is not None and now_ns - since_ns > longest_ns and topic not in self._silent:
                self._silent.add(topic)
                self._say(f"silence: no {topic} for {longest_ns // MS} ms")
        if self._guidance_until_ns is not None and ros_ns > self._guidance_until_ns:
            self._end_guidance("its time of validity is over")
        self._judge(now_ns, ros_ns)

    def summary(self) -> dict[str, Any]:
        """What was heard, for the journal."""
        listed = [{name: getattr(one, name) for name in Heard.__slots__} for one in self.advisories]
        return {
            "phases": self.phases,
            "instruments": self.instruments,
            "procedural": [one for one in listed if one["kind"] == "procedural"],
            "technical": [one for one in listed if one["kind"] == "technical"],
            "messages": dict(self.counts),
            "events": dict(self.events),
            "case_began": self.began,
            "case_ended": self.ended,
        }

    def summary_in_words(self) -> list[str]:
        """The same for a person, line by line."""
        lines = [f"phases: {' > '.join(self.phases) or 'none'}"]
        lines.append(f"instruments: {', '.join(self.instruments) or 'none'}")
        for kind in ("procedural", "technical"):
            found = [one for one in self.advisories if one.kind == kind]
            lines.append(f"{kind} advisories: {len(found)}")
            times = Counter((one.sender, one.priority, one.code, one.subject, one.text) for one in found)
            for (sender, priority, code, subject, text), count in times.items():
                reason = next(
                    one.reason for one in found if (one.sender, one.code, one.subject) == (sender, code, subject)
                )
                again = f", {count} times" if count > 1 else ""
                lines.append(f"  {sender}: {priority} {code} {subject}: {text}{again}; reason: {reason}")
        lines.append("messages: " + (", ".join(f"{topic} {n}" for topic, n in sorted(self.counts.items())) or "none"))
        if self.events:
            lines.append("events: " + ", ".join(f"{name} {n}" for name, n in sorted(self.events.items())))
        lines.append("where nothing was announced, nothing was announced: that is no statement that it was safe")
        return lines

    def _hear_phase(self, message: Phase, ros_ns: int) -> None:
        self._phase = message
        if message.validity not in SHOWN or self._age(message, ros_ns):
            return
        if message.committed and message.committed != (self.phases[-1] if self.phases else ""):
            self.phases.append(message.committed)
            certainty = CERTAINTY.get(message.certainty, "?")
            self._say(f"phase: {message.committed} (certainty {certainty}, frame {message.frame_index})")

    def _hear_instruments(self, message: InstrumentArray) -> None:
        if message.validity not in SHOWN:
            return
        for one in message.instruments:
            if one.seen and one.type not in self.instruments:
                self.instruments.append(one.type)
                self._say(f"instrument: {one.type} for the first time (track {one.track})")

    def _hear_guidance(self, message: Guidance, ros_ns: int) -> None:
        until_ns = _ns(message.valid_until)
        if message.validity not in SHOWN:
            self._end_guidance(f"it is withheld ({message.withheld_reason})")
            return
        if until_ns <= ros_ns:
            return
        self._guidance_until_ns = until_ns
        guided = (message.next_phase, ", ".join(message.expected_instruments))
        if guided != self._guided:
            self._guided = guided
            self._say(f"guidance: next {guided[0] or 'unknown'}; instruments expected now: {guided[1] or 'none named'}")

    def _end_guidance(self, why: str) -> None:
        if self._guidance_until_ns is not None:
            self._guidance_until_ns, self._guided = None, ("", "")
            self._say(f"guidance: {why}; it is not used any longer")

    def _hear_status(self, message: Status, now_ns: int) -> None:
        seen = StatusSeen(message.seq, message.case_id, message.paused, message.withheld_reason, message.run_id)
        before, self._status = self._status, seen
        restarted = before is not None and before.run != seen.run
        if restarted:
            self._say("the assistant has restarted; what it announced before is lost, not over")
        if seen.case_id and seen.case_id != self._case:
            self._say(f"case {seen.case_id} has begun")
            self.began = True
        if seen.case_id:
            self._lost_case = False
        elif self._case and restarted:
            self._lost_case = True
            self._say(f"case {self._case}: the restarted assistant does not know it; it has not ended")
        elif self._case and not self._lost_case:
            self._say(f"case {self._case} has ended")
            self.ended = True
        if not self._lost_case:
            self._case = seen.case_id
        if before is not None and before.paused != seen.paused and seen.case_id:
            self._say("a person has paused the assistant" if seen.paused else "a person has resumed the assistant")
        running = self._case != "" and not seen.paused
        if not running:
            self._running_ns = None
        elif self._running_ns is None:
            self._running_ns = now_ns

    def _hear_list(self, topic: str, message: AdvisoryArray, ros_ns: int) -> None:
        sender = SENDERS[topic]
        if ros_ns - _ns(message.published) > SILENCE_NS[topic]:
            return  # an old list is no list; that it is missing is noticed
        validity = (message.validity, message.withheld_reason)
        if validity != self._validity.get(sender):
            self._validity[sender] = validity
            word = VALIDITY.get(message.validity, str(message.validity))
            reason = f" ({message.withheld_reason})" if message.withheld_reason else ""
            self._say(f"{sender}: {word}{reason}")
        known, now = self._lists[sender], {(one.code, one.subject): one for one in message.advisories}
        for key, one in now.items():
            before = known.get(key)
            if before is None or (before.presence, before.announced) != (one.presence, one.announced):
                self._announce(sender, one, before)
        for key in [key for key in known if key not in now]:
            gone = known[key]
            self._say(f"advisory gone: {gone.code} {gone.subject} from {sender}; nothing follows from that")
        self._lists[sender] = now

    def _announce(self, sender: str, one: Advisory, before: Advisory | None) -> None:
        reason = reason_in_words(one.reason)
        presence = PRESENCE.get(one.presence, str(one.presence))
        kind, priority = KIND.get(one.kind, str(one.kind)), PRIORITY.get(one.priority, str(one.priority))
        self._say(
            f"advisory {presence}: {priority} {kind} {one.code} {one.subject} from {sender}: {one.text}; reason: {reason}"
        )
        if before is None or before.announced != one.announced:
            self.advisories.append(Heard(sender, one.code, one.subject, kind, priority, one.text, reason))

    def _age(self, message: Any, ros_ns: int) -> str:
        """Why a message is too old to be used; empty if it is not."""
        stamp_ns = _ns(message.header.stamp)
        if stamp_ns == 0:
            return "it has no time of acquisition"
        return f"it is older than {OLDEST_NS // MS} ms" if ros_ns - stamp_ns > OLDEST_NS else ""

    def _judge(self, now_ns: int, ros_ns: int) -> None:
        """Say when the assistance becomes usable, and when and why it ceases to be."""
        if self._running_ns is None:
            self._usable = None
            return
        why = self._why_not(now_ns, ros_ns)
        if self._usable is None or self._usable != (why == ""):
            self._usable = why == ""
            self._say(f"assistance is not usable: {why}; {NOT_SAFE}" if why else "assistance is usable")

    def _why_not(self, now_ns: int, ros_ns: int) -> str:
        phase = self._phase
        if phase is None or self._received_ns["phase"] < (self._running_ns or 0):
            return "no frame of this case was judged yet"
        for topic, longest_ns in SILENCE_NS.items():
            if now_ns - self._received_ns.get(topic, -longest_ns) > longest_ns:
                return f"no {topic} for {longest_ns // MS} ms"
        if not self._alive:
            return "the lease of phase has run out"
        if phase.validity not in SHOWN:
            return f"{VALIDITY.get(phase.validity, phase.validity)} ({phase.withheld_reason})"
        if self._age(phase, ros_ns):
            return self._age(phase, ros_ns)
        validity, reason = self._validity.get("watchdog", (AdvisoryArray.VALIDITY_WITHHELD, "not heard"))
        return "" if validity in SHOWN else f"the watchdog does not vouch for it ({reason})"
