"""Random walks of the advisory machine beside a plain reference model, with the promises checked after every step.

The reference is written from what people were promised, one paragraph a promise, without the machine's table.
"""

from collections import Counter
from types import SimpleNamespace

import numpy as np

from surgical_ml.guidance import Activation, AdvisoryMachine, Cause, Condition, Kind, Life, Priority, Reason
from surgical_ml.guidance.life import LIFE
from surgical_ml.guidance.machine import (
    BANNER_NS,
    CAPACITY,
    COOL_NS,
    DEFER_NS,
    LATCH_NS,
    PAUSE_NS,
    REMINDER_NS,
    SIGNALS_INACTIVE,
)
from surgical_ml.guidance.risk import INACTIVE, Harm, Onset, Risk

SECOND = 1_000_000_000
REASON = Reason("protocol/section/name", ("this",), ("that",), (1, 2), "high", (), "something")
HIGH, MEDIUM, LOW, NONE = Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.NONE
RANK = {HIGH: 0, MEDIUM: 1, LOW: 2, NONE: 3}
PLAIN = Risk("HAZ-01", Harm.IRREVERSIBLE, Onset.PROMPT)
RISKS = {
    "order": PLAIN,
    "mismatch": PLAIN,
    "flood": PLAIN,
    "withheld": PLAIN,
    "near": Risk("HAZ-03", Harm.REVERSIBLE, Onset.PROMPT, delay_ns=SECOND // 5, clear_ns=SECOND),
    "lost": Risk("HAZ-04", Harm.REVERSIBLE, Onset.DELAYED, clear_ns=SECOND, escalates_ns=60 * SECOND),
    "short": Risk("HAZ-05", Harm.REVERSIBLE, Onset.DELAYED, deferrable=True),
    SIGNALS_INACTIVE: INACTIVE,
}
KEYS = {
    ("order", "clipping"): (HIGH,),
    ("order", "packaging"): (HIGH,),
    ("mismatch", "hook"): (MEDIUM,),
    ("mismatch", "clipper"): (MEDIUM,),
    ("near", "cystic duct"): (MEDIUM, HIGH),
    ("near", "liver"): (LOW, MEDIUM),
    ("lost", "hook"): (LOW,),
    ("short", "preparation"): (LOW,),
    ("withheld", "paused"): (LOW,),
    ("withheld", "stale"): (MEDIUM,),
    ("withheld", "starting"): (NONE,),
}
FLOOD = [("flood", str(k)) for k in range(100)]
Key = tuple[str, str]


def risk(code: str, _: str) -> Risk:
    return RISKS[code]


def condition(key: Key, priority: Priority, onset_ns: int = 0, text: str = "Something is so") -> Condition:
    kind = Kind.TECHNICAL if key[0] in ("withheld", SIGNALS_INACTIVE) else Kind.PROCEDURAL
    return Condition(*key, kind, priority, onset_ns, text, REASON)


class Reference:
    """What is listed, and with which banner, as it was promised."""

    def __init__(self) -> None:
        self.known: dict[Key, SimpleNamespace] = {}
        self.activation, self.chosen_ns, self.since_ns, self.reminded_ns = Activation.ON, 0, 0, 0
        self.coming_back = False
        self.banner = SimpleNamespace(number=0, code="", rank=0, at_ns=-(10**18))
        self.left_out: set[Key] = set()

    def listed(self) -> list[tuple[Key, str, Priority, int, int, int]]:
        found = [
            (key, f.life, f.priority, f.onset_ns, f.announced_ns, f.banner)
            for key, f in self.known.items()
            if f.life not in ("waiting", "held")
        ]
        return sorted(found, key=lambda one: (RANK[one[2]], one[3], one[0]))

    def silent(self) -> bool:
        return self.activation in (Activation.PAUSED, Activation.OFF)

    def choose(self, now: int, activation: Activation) -> None:
        self.coming_back |= self.silent() and activation not in (Activation.PAUSED, Activation.OFF)
        if activation is not self.activation:
            self.since_ns = self.reminded_ns = now
        self.activation, self.chosen_ns = activation, now

    def call(self, now: int, key: Key, priority: Priority) -> int:
        """A banner of its own, unless nobody is to be called."""
        if priority is NONE or (self.silent() and key[0] != SIGNALS_INACTIVE):
            return 0
        self.banner = SimpleNamespace(number=self.banner.number + 1, code=key[0], rank=RANK[priority], at_ns=now)
        return self.banner.number

    def update(self, now: int, so: dict[Key, Condition], boundary: bool) -> None:
        # A pause ends by itself; that signals are inactive is said like anything else.
        if self.activation in (Activation.AUDIO_PAUSED, Activation.PAUSED) and now - self.chosen_ns >= PAUSE_NS:
            self.choose(now, Activation.ON)
        so = dict(so)
        if self.activation is not Activation.ON:
            key = (SIGNALS_INACTIVE, self.activation.value)
            so[key] = condition(key, INACTIVE.priority, self.since_ns)
        for key in [key for key in self.known if key not in so]:
            self.is_not_so(now, key, self.known[key])
        self.leave_out(so)
        for key, one in so.items():
            if key in self.left_out:
                continue
            f = self.known.setdefault(
                key,
                SimpleNamespace(
                    life="waiting", priority=one.priority, onset_ns=one.onset_ns, announced_ns=0, banner=0,
                    came=now, seen=now, on=0, gone=0, raised=False,
                ),
            )  # fmt: skip
            self.is_so(now, key, f, one)
        here = [(key, f) for key, f in self.known.items() if key in so]
        # A new condition is announced once it has lasted.
        for key, f in here:
            if f.life == "waiting" and now - f.came >= RISKS[key[0]].delay_ns:
                f.life = "held"
        self.come_back(now)
        for key, f in sorted(here, key=lambda one: (RANK[one[1].priority], one[1].onset_ns, one[0])):
            if f.life == "held":
                self.may_be_announced(now, key, f, boundary)
        self.insist(now)

    def leave_out(self, so: dict[Key, Condition]) -> None:
        # Memory is bounded: the most urgent are kept, of those what is present, what is listed, what is oldest.
        place = {}
        for key, f in self.known.items():
            priority = so[key].priority if key in so else f.priority
            if key in so and f.raised and f.life != "latched":
                priority = {LOW: MEDIUM, MEDIUM: HIGH}.get(priority, priority)
            place[key] = (RANK[priority], key not in so, f.life in ("waiting", "held"), f.onset_ns, key)
        for key, one in so.items():
            place.setdefault(key, (RANK[one.priority], False, True, one.onset_ns, key))
        dropped = set(sorted(place, key=lambda key: place[key])[CAPACITY:])
        self.left_out = dropped & so.keys()
        self.known = {key: f for key, f in self.known.items() if key not in dropped}

    def is_so(self, now: int, key: Key, f: SimpleNamespace, one: Condition) -> None:
        f.seen = now
        if f.life == "latched":
            # It has come back: it is on again, and calls again unless it did so a moment ago.
            f.life, f.priority, f.on, f.raised = "on", one.priority, now, False
            if one.priority is HIGH or now - f.announced_ns >= COOL_NS:
                f.onset_ns, f.announced_ns, f.banner = one.onset_ns, now, self.call(now, key, one.priority)
            return
        wanted = {LOW: MEDIUM, MEDIUM: HIGH}.get(one.priority, one.priority) if f.raised else one.priority
        before, f.priority = f.priority, wanted
        if f.life in ("on", "acknowledged") and RANK[wanted] < RANK[before]:
            # More urgent than what a person has seen: it is announced to them anew.
            f.life, f.on, f.banner = "on", now, self.call(now, key, wanted)

    def is_not_so(self, now: int, key: Key, f: SimpleNamespace) -> None:
        if f.life == "latched":
            if f.priority is LOW and now - f.gone >= LATCH_NS:
                del self.known[key]
        elif now - f.seen >= RISKS[key[0]].clear_ns:
            if f.life == "on" and f.priority is not NONE:
                f.life, f.gone = "latched", now
            else:
                del self.known[key]

    def may_be_announced(self, now: int, key: Key, f: SimpleNamespace, boundary: bool) -> None:
        if RISKS[key[0]].deferrable and not boundary and now - f.came < DEFER_NS:
            return
        age, young = now - self.banner.at_ns, now - self.banner.at_ns < BANNER_NS
        alike = self.banner.code == key[0] and not self.silent() and f.priority is not NONE
        joins = alike and RANK[f.priority] >= self.banner.rank and (age == 0 if f.priority is HIGH else young)
        unanswered = any(one.life == "on" and one.banner == self.banner.number for one in self.known.values())
        waits = f.priority in (MEDIUM, LOW) and key[0] not in ("withheld", SIGNALS_INACTIVE)
        if waits and not self.silent() and young and unanswered and not joins:
            return
        f.life, f.announced_ns, f.on = "on", now, now
        f.banner = self.banner.number if joins else self.call(now, key, f.priority)

    def come_back(self, now: int) -> None:
        if not self.coming_back or self.silent():
            return
        self.coming_back = False
        on = [(key, f) for key, f in self.known.items() if f.life == "on" and f.priority is not NONE]
        on = [(key, f) for key, f in on if key[0] != SIGNALS_INACTIVE]
        if on:
            key, first = min(on, key=lambda one: (RANK[one[1].priority], one[1].onset_ns, one[0]))
            number = self.call(now, key, first.priority)
            for _, f in on:
                f.banner = number

    def insist(self, now: int) -> None:
        for key, f in self.known.items():
            patience = RISKS[key[0]].escalates_ns
            if patience and f.life == "on" and not f.raised and now - f.on >= patience:
                f.raised, f.priority = True, {LOW: MEDIUM, MEDIUM: HIGH}[f.priority]
                f.banner = self.call(now, key, f.priority)
        endless = self.activation in (Activation.AUDIO_OFF, Activation.OFF)
        if endless and now - self.reminded_ns >= REMINDER_NS:
            self.reminded_ns = now
            f = self.known.get((SIGNALS_INACTIVE, self.activation.value))
            if f is not None:
                f.life, f.banner = "on", self.call(now, (SIGNALS_INACTIVE, self.activation.value), f.priority)

    def acknowledge(self, code: str, subject: str) -> None:
        for key, f in list(self.known.items()):
            if code in ("", key[0]) and subject in ("", key[1]):
                if f.life == "on":
                    f.life = "acknowledged"
                elif f.life == "latched":
                    del self.known[key]

    def reset(self) -> None:
        self.known = {key: f for key, f in self.known.items() if f.life != "latched"}


class Walk:
    """The machine and the reference side by side, and what is counted of both."""

    def __init__(self) -> None:
        self.machine, self.reference = AdvisoryMachine(risk), Reference()
        self.now = 0
        self.so: dict[Key, Condition] = {}
        self.visited: Counter[tuple[Life, Cause]] = Counter()
        self.told: dict[Key, Life] = {}
        self.began: Counter[Key] = Counter()
        self.ended: Counter[Key] = Counter()

    def time_passes(self, dt_ns: int, toggled: dict[Key, Priority | None], *, boundary: bool = False) -> None:
        self.now += dt_ns
        for key, priority in toggled.items():
            if priority is None:
                self.so.pop(key, None)
            else:
                onset_ns = self.so[key].onset_ns if key in self.so else self.now
                self.so[key] = condition(key, priority, onset_ns)
        self.machine.update(self.now, tuple(self.so.values()), boundary=boundary)
        self.reference.update(self.now, self.so, boundary)
        self.check()

    def acknowledge(self, code: str, subject: str) -> None:
        before = {(a.code, a.subject): a for a in self.machine.active}
        self.machine.acknowledge(self.now, code, subject)
        self.reference.acknowledge(code, subject)
        after = {(a.code, a.subject): a for a in self.machine.active}
        # Nobody's acknowledgement of one thing silences another.
        for key, one in before.items():
            assert (code in ("", key[0]) and subject in ("", key[1])) or after[key] == one
        self.check()

    def reset(self) -> None:
        self.machine.reset(self.now)
        self.reference.reset()
        self.check()

    def choose(self, activation: Activation) -> None:
        self.machine.activate(self.now, activation)
        self.reference.choose(self.now, activation)
        self.check()

    def check(self) -> None:
        found = [
            ((a.code, a.subject), a.presence.value, a.priority, a.onset_ns, a.announced_ns, a.banner)
            for a in self.machine.active
        ]
        assert found == self.reference.listed()
        assert all(a.onset_ns <= a.announced_ns <= self.now for a in self.machine.active)
        assert len(found) <= CAPACITY
        for one in self.machine.take_transitions():
            key = (one.code, one.subject)
            # Each step is a row of the table, and follows on the one that was told before.
            assert one.before is self.told.get(key, Life.OFF)
            assert one.after is LIFE[one.before, one.cause]
            assert one.delay_ns >= 0
            self.told[key] = one.after
            self.visited[one.before, one.cause] += 1
            self.began[key] += one.before is Life.OFF and one.cause is Cause.BEGAN
            self.ended[key] += one.before is not Life.OFF and one.after is Life.OFF
        assert self.machine.take_transitions() == ()
        # No condition is lost: whatever is so is followed, or was said to be left out; what was begun and is not over lives.
        left_out = self.machine.alerting.crowded
        assert left_out == len(self.reference.left_out)
        alive = {key for key, life in self.told.items() if life is not Life.OFF}
        assert all(self.began[key] - self.ended[key] == (key in alive) for key in self.told)
        # The most urgent are followed, whatever else happens, as long as there are not too many of their own kind.
        urgent = {key for key, one in self.so.items() if one.priority is HIGH}
        if len(urgent | {one[0] for one in found if one[2] is HIGH}) <= CAPACITY:
            assert not urgent & self.reference.left_out


def walk(seed: int, steps: int) -> Counter[tuple[Life, Cause]]:
    """Random steps in walks of a thousand, each with a machine of its own; how often each row of the table was taken."""
    draw = np.random.default_rng(seed)
    visited: Counter[tuple[Life, Cause]] = Counter()
    for begun in range(0, steps, 1000):
        one = Walk()
        for _ in range(min(1000, steps - begun)):
            _step(one, draw)
        visited += one.visited
    return visited


def _step(one: Walk, draw: np.random.Generator) -> None:
    kind = draw.random()
    keys = list(KEYS)
    if kind < 0.75:
        dt = int(draw.choice([0, SECOND // 25, SECOND // 5, SECOND, 5 * SECOND, 61 * SECOND, DEFER_NS], p=_DT))
        toggled: dict[Key, Priority | None] = {}
        for k in draw.choice(len(keys), draw.integers(0, 3), replace=False):
            choices = [*KEYS[keys[k]], None]
            toggled[keys[k]] = choices[draw.integers(len(choices))]
        one.time_passes(dt, toggled, boundary=bool(draw.random() < 0.02))
    elif kind < 0.78:
        flood = draw.choice(len(FLOOD), 80, replace=False)
        share = draw.random()
        priorities = [HIGH, MEDIUM, LOW]
        one.time_passes(0, {("near", "liver"): LOW})
        new = {FLOOD[k]: priorities[draw.integers(3)] if draw.random() < share else None for k in flood}
        one.time_passes(SECOND // 25, new)
    elif kind < 0.82:
        one.time_passes(SECOND, dict.fromkeys(FLOOD))
        one.reset()
    elif kind < 0.92:
        code, subject = keys[draw.integers(len(keys))]
        texts = [(code, subject), (code, ""), ("", ""), (SIGNALS_INACTIVE, "")]
        one.acknowledge(*texts[draw.integers(len(texts))])
    elif kind < 0.95:
        one.reset()
    else:
        one.choose(list(Activation)[draw.integers(len(Activation))])


_DT = [0.1, 0.3, 0.2, 0.2, 0.1, 0.06, 0.04]
