"""How each topic is delivered. Whoever subscribes to an output uses the same profile as its publisher."""

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

PHASE_DEADLINE = Duration(nanoseconds=200_000_000)
PHASE_LEASE = Duration(nanoseconds=300_000_000)
ADVISORY_DEADLINE = Duration(nanoseconds=400_000_000)
ADVISORY_LIFESPAN = Duration(nanoseconds=1_000_000_000)


def _profile(
    depth: int,
    reliability: ReliabilityPolicy,
    durability: DurabilityPolicy,
    liveliness: LivelinessPolicy = LivelinessPolicy.AUTOMATIC,
    **durations: Duration,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
        liveliness=liveliness,
        **durations,
    )


PHASE = _profile(
    5,
    ReliabilityPolicy.RELIABLE,
    DurabilityPolicy.VOLATILE,
    LivelinessPolicy.MANUAL_BY_TOPIC,
    deadline=PHASE_DEADLINE,
    liveliness_lease_duration=PHASE_LEASE,
)
"""`phase`. Liveliness is manual so that only a judged frame, never a process that merely lives, renews the lease."""

INSTRUMENTS = _profile(5, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""`instruments`."""

GUIDANCE = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""`guidance`. Not kept for late joiners: the next decision brings it, and an old one must not be used."""

ADVISORIES = _profile(
    1,
    ReliabilityPolicy.RELIABLE,
    DurabilityPolicy.TRANSIENT_LOCAL,
    deadline=ADVISORY_DEADLINE,
    lifespan=ADVISORY_LIFESPAN,
)
"""`advisories` and `watchdog/advisories`. Kept for late joiners, but only while fresh: an old list is no list."""

STATUS = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""`status`."""

PREVIEW = _profile(1, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
"""`mask` and `overlay/compressed`. Best effort, so that a slow viewer never holds the assistant up."""

CAMERA_INFO = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""`camera_info`."""

DIAGNOSTICS = _profile(10, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""`/diagnostics`: the ROS 2 default, which aggregators and monitors use."""

CRTK = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""`crtk/operating_state`, `crtk/status`, `crtk/warning`. Depth 1: a late joiner gets no old warnings replayed."""

IMAGE = _profile(1, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
"""The `image` input. Best effort matches every camera driver, and only the newest picture is wanted."""

ROBOT_STREAM = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""Robot topics written at a rate: `measured_cp`, `measured_js`."""

ROBOT_EVENT = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""Robot topics written on change, which the dVRK latches: `operating_state`, `tool_type`, `following`, pedals.

Without transient local, a state reached before the assistant started would stay unknown until the next change.
"""
