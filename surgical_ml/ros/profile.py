"""What a process that moves pictures needs in its environment before it starts."""

from pathlib import Path

FASTDDS_PROFILE = Path(__file__).with_name("fastdds.xml")


def environment() -> dict[str, str]:
    """Variables to set for each process on the graph; once a process runs, setting them has no effect.

    The middleware's profile gives pictures a shared-memory segment they fit into. The allocator is told to keep the
    buffers of large messages: returning megabytes to the system for each picture costs more than copying it does.
    """
    return {
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(FASTDDS_PROFILE),
        "MALLOC_MMAP_THRESHOLD_": "268435456",
        "MALLOC_TRIM_THRESHOLD_": "536870912",
        "MALLOC_TOP_PAD_": "33554432",
        "PYTHONUNBUFFERED": "1",
    }
