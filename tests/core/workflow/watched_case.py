"""Drives a workflow with observations that show what a test says."""

from collections.abc import Callable

from surgical_ml.perception import PPM, Observation, Refusal, SeenInstrument
from surgical_ml.workflow import Deviation, Protocol, Workflow, WorkflowEstimate, load_protocol

PROTOCOL = load_protocol("cholecystectomy")


def scores(phase: str | None, protocol: Protocol = PROTOCOL, share: float = 0.9) -> tuple[int, ...]:
    """What the network gives each phase: `share` to one, the rest evenly; evenly to all for None."""
    names = protocol.phase_names
    if phase is None:
        return (round(PPM / len(names)),) * len(names)
    rest = round((1 - share) * PPM / (len(names) - 1))
    return tuple(round(share * PPM) if name == phase else rest for name in names)


def observation(
    index: int,
    stamp_ns: int,
    phase: str | None,
    tools: tuple[str, ...] = (),
    *,
    refusal: Refusal | None = None,
    tool_ppm: int = 900_000,
    protocol: Protocol = PROTOCOL,
) -> Observation:
    seen = tuple(SeenInstrument(tool, tool_ppm, (90, 60), 800_000, 900, (70, 50, 40, 20), 300, True) for tool in tools)
    return Observation(
        index=index,
        stamp_ns=stamp_ns,
        input_sha256="",
        size_px=(320, 180),
        content_shape="full",
        content_box_px=(0, 0, 320, 180),
        refusal=refusal,
        instruments=seen,
        phase_ppm=scores(phase, protocol),
    )


class WatchedCase:
    """A case at a steady frame rate; `between` is called with the stamp of each moment between two frames."""

    def __init__(self, fps: float = 10.0, protocol: Protocol = PROTOCOL, time_scale: float = 1.0) -> None:
        self.protocol = protocol
        self.workflow = Workflow(protocol, phases=protocol.phase_names, tools=protocol.tools, time_scale=time_scale)
        self.period_ns = round(1e9 / fps)
        self.now_ns = 0
        self.index = 0
        self.estimate: WorkflowEstimate | None = None
        self.present: tuple[Deviation, ...] = ()
        self.raised: list[Deviation] = []
        self.committed: list[tuple[int, str]] = []
        self.between: Callable[[int], None] | None = None

    def show(
        self,
        seconds: float,
        phase: str | None,
        tools: tuple[str, ...] = (),
        *,
        refusal: Refusal | None = None,
        tool_ppm: int = 900_000,
    ) -> None:
        """Frames for so long."""
        for _ in range(round(seconds * 1e9 / self.period_ns)):
            if self.between is not None:
                self.between(self.now_ns + self.period_ns // 2)
            self.now_ns += self.period_ns
            self.index += 1
            self._take(
                observation(
                    self.index,
                    self.now_ns,
                    phase,
                    tools,
                    refusal=refusal,
                    tool_ppm=tool_ppm,
                    protocol=self.protocol,
                )
            )

    def wait(self, seconds: float, every_s: float = 0.1) -> None:
        """Time without a frame."""
        for _ in range(round(seconds / every_s)):
            self.now_ns += round(every_s * 1e9)
            self._take(None)

    def _take(self, seen: Observation | None) -> None:
        before = {(one.kind, one.subject) for one in self.present}
        self.estimate, self.present = self.workflow.step(self.now_ns, seen, None)
        self.raised += [one for one in self.present if (one.kind, one.subject) not in before]
        phase = self.estimate.committed
        if phase is not None and (not self.committed or self.committed[-1][1] != phase):
            self.committed.append((self.now_ns, phase))

    @property
    def phases(self) -> list[str]:
        """The phases that were committed, in order."""
        return [phase for _, phase in self.committed]
