"""Numbers for people: durations, moments, sizes, small histories. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

_BARS = "▁▂▃▄▅▆▇█"


def duration(seconds: float) -> str:
    """`42 s`, `3 min`, `2 h`, `5 d`: enough at a glance."""
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86400)} d"


def age(seconds: float) -> str:
    """A duration for a table that is not repainted every second, so without seconds below a minute."""
    return "< 1 min" if seconds < 60 else duration(seconds)


def ago(seconds: float) -> str:
    """How long ago something was, for text that is not repainted every second."""
    return "just now" if seconds < 60 else f"{duration(seconds)} ago"


def size(count: float) -> str:
    """`25 MB`, `1.2 GB`, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def bars(values: Sequence[float], width: int, highest: float = 0) -> str:
    """A history as small bars, newest at the right; a full bar stands for at least `highest`."""
    shown = values[-width:]
    top = max([highest, *shown]) or 1
    drawn = "".join(_BARS[min(len(_BARS) - 1, int(value / top * (len(_BARS) - 1) + 0.5))] for value in shown)
    return drawn.rjust(width)


def moment(stamp: str) -> str:
    """`2026-01-02T03:04:05.123+00:00` as `2 Jan 03:04`, in local time."""
    try:
        at = datetime.fromisoformat(stamp).astimezone()
    except ValueError:
        return stamp
    return f"{at.day} {at:%b %H:%M}"


def ago_of(stamp: str, now: float) -> str:
    """How long ago that moment was; empty if the stamp is not a moment."""
    try:
        return ago(now - datetime.fromisoformat(stamp).timestamp())
    except ValueError:
        return ""


def local_moment(stamp: str) -> str:
    """Like `moment`, with the time zone, for use on its own."""
    return f"{moment(stamp)} {zone()}"


def zone() -> str:
    """The name of the local time zone."""
    return datetime.now().astimezone().tzname() or "local time"


def clock(seconds: float) -> str:
    """A running clock: `3.2 s`, `1 min 05 s`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def at_moment(at: float) -> str:
    """Seconds since 1970 as `2 Jan 03:04 UTC`, in local time."""
    return local_moment(datetime.fromtimestamp(at).astimezone().isoformat())


def clock_time(at: float) -> str:
    """Seconds since 1970 as `03:04:05 UTC`, in local time."""
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S} {zone()}"


def local_clock(stamp: str) -> str:
    """`2026-01-02T03:04:05.123456789Z` as `03:04:05`, in local time."""
    try:
        return f"{datetime.fromisoformat(stamp[:19] + '+00:00').astimezone():%H:%M:%S}"
    except ValueError:
        return ""
