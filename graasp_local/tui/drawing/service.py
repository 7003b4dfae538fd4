"""One service on the whole screen: image, health, CPU and memory charts, environment, mounts, networks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from graasp_local.tui.figures import ago, at_moment, local_clock, size
from graasp_local.tui.tones import Line, Piece, Tone, fitted, padded, plain, right, width_of

if TYPE_CHECKING:
    from graasp_local.ports.live import ContainerDetail
    from graasp_local.tui.readings import Reading

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LABEL = 11
_AXIS = 9
_CHART_ROWS = 4
_READING_SECONDS = 5


def detail_lines(
    detail: ContainerDetail, reading: Reading | None, now: float, width: int, *, is_fresh: bool
) -> tuple[Line, ...]:
    """Every line fits the width. Secrets are already masked in `detail`."""
    lines: list[Line] = [*_facts(detail, now), ()]
    lines += _charts(detail, reading, width, is_fresh=is_fresh)
    lines += _heading("Health check")
    if not detail.answers:
        lines.append(plain("  No health check is defined, or none has run yet.", Tone.QUIET))
    for answer in reversed(detail.answers):
        well = answer.exit_code == 0
        said = " ".join(answer.output.split()) or f"exit code {answer.exit_code}"
        mark = Piece("✓ " if well else "✗ ", Tone.OK if well else Tone.BAD)
        lines.append((Piece(f"  {local_clock(answer.at)}  ", Tone.QUIET), mark, Piece(said)))
    for title, entries in (("Networks", detail.networks), ("Mounts", detail.mounts)):
        lines += _heading(title)
        lines += [plain(f"  {entry}") for entry in entries] or [plain("  none", Tone.QUIET)]
    lines += _heading("Environment")
    longest = min(34, max((len(name) for name, _ in detail.environment), default=0))
    for name, value in detail.environment:
        lines.append((Piece(f"  {padded(name, longest)}  ", Tone.QUIET), Piece(value)))
    return tuple(fitted(line, width) for line in lines)


def _facts(detail: ContainerDetail, now: float) -> list[Line]:
    since = f", since {at_moment(detail.started_at)}, {ago(now - detail.started_at)}" if detail.started_at else ""
    restarts = {0: "never restarted", 1: "restarted once"}.get(detail.restarts, f"restarted {detail.restarts} times")
    facts = [
        ("Image", detail.image),
        ("Digest", detail.digest),
        ("Status", f"{detail.health or detail.status}{since}, {restarts}"),
    ]
    if detail.memory_limit:
        facts.append(("Memory", f"limited to {size(detail.memory_limit)}"))
    return [(Piece(padded(name, _LABEL), Tone.QUIET), Piece(value)) for name, value in facts]


def _charts(detail: ContainerDetail, reading: Reading | None, width: int, *, is_fresh: bool) -> list[Line]:
    """The two charts, side by side if there is room."""
    if reading is None:
        return [plain("Reading CPU and memory use …", Tone.QUIET)]
    beside = width >= 100
    each = (width - 4) // 2 if beside else width
    percent = f"{reading.cpu_percent:.1f} %" if reading.cpu_percent is not None else "…"
    highest = max([10.0, *reading.history])
    processor = chart(
        f"CPU: {percent} of one core", reading.history, each, highest, "{:.0f} %".format, is_fresh=is_fresh
    )
    limit = float(detail.memory_limit) or 1.25 * max(reading.memory_history)
    of = f" of {size(detail.memory_limit)}" if detail.memory_limit else ""
    memory = chart(
        f"Memory: {size(reading.last.memory_bytes)}{of}", reading.memory_history, each, limit, size, is_fresh=is_fresh
    )
    if not beside:
        return [*processor, (), *memory]
    return [
        (*left, Piece(" " * (each - width_of(left))), Piece("    "), *other)
        for left, other in zip(processor, memory, strict=True)
    ]


def chart(
    title: str, values: Sequence[float], width: int, top: float, say: Callable[[float], str], *, is_fresh: bool
) -> list[Line]:
    """A title, four rows of bars with their axis at the left, newest at the right, and the time axis below.

    Unless `is_fresh`, the newest value is labelled as the last reading, not as now.
    """
    room = max(1, width - _AXIS - 2)
    shown = list(values[-room:])
    eighths = [min(8 * _CHART_ROWS, round(8 * _CHART_ROWS * value / top)) if top else 0 for value in shown]
    lines: list[Line] = [plain(title, Tone.STRONG)]
    drawn, end = (Tone.ACCENT, "now") if is_fresh else (Tone.QUIET, "last reading")
    for row in range(_CHART_ROWS - 1, -1, -1):
        label = say(top) if row == _CHART_ROWS - 1 else ""
        bars = "".join(_BLOCKS[max(0, min(8, height - 8 * row))] for height in eighths)
        lines.append((Piece(f"{right(label, _AXIS)} ┤", Tone.QUIET), Piece(bars.rjust(room), drawn)))
    lines.append(plain(f"{right(say(0.0), _AXIS)} └{'─' * room}", Tone.QUIET))
    begin = f"{room * _READING_SECONDS // 60} min ago"
    lines.append(plain(f"{' ' * (_AXIS + 2)}{begin}{right(end, room - len(begin))}", Tone.QUIET))
    return lines


def _heading(title: str) -> list[Line]:
    return [(), plain(title, Tone.STRONG)]
