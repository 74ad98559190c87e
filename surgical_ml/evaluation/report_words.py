"""Numbers and names as a report writes them."""

from surgical_ml.workflow import spoken

_SECOND_NS = 1_000_000_000


def spaced(name: str) -> str:
    """A name as a heading: `specimen_bag` as `Specimen bag`, `tool-mismatch` as `Tool mismatch`."""
    words = spoken(name.replace("-", "_"))
    return words[:1].upper() + words[1:]


def share(part: int, whole: int) -> str:
    """Percent, to one decimal; never 0 for something, never 100 for less than all."""
    if whole == 0 or part == 0:
        return "0 %"
    if part == whole:
        return "100 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if percent > 99.9 else f"{percent:.1f} %"


def clock(nanoseconds: int, *, tenths: bool = True) -> str:
    """A time of the case as `12:07.3`, or `1:12:07.3` from an hour on; a tenth that has begun is not over."""
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    minutes, seconds = divmod(rest // _SECOND_NS, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{sign}{text}.{rest % _SECOND_NS // 100_000_000}" if tenths else sign + text


def length(nanoseconds: int) -> str:
    """How long, in the two units that matter: `0.3 s`, `12 s`, `1 min 11 s`, `7 h 59 min`."""
    seconds = nanoseconds / _SECOND_NS
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 or nanoseconds == 0 else "< 0.1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 frame`, `1,770 frames`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
