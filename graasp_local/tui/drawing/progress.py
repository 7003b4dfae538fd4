"""The running step beyond its own output: what it waits for, and its seconds compared with the usual ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.tui.figures import clock
from graasp_local.tui.operation_view import KILLED
from graasp_local.tui.tones import Line, Piece, Tone, fitted, padded, plain, width_of
from graasp_local.wording import size_in_words

if TYPE_CHECKING:
    from graasp_local.ports.live import ContainerDetail
    from graasp_local.tui.operation_view import OperationView, StepView

_LEAST_BAR = 12


class Usual(Struct, frozen=True):
    """How long a kind of step has taken on this site, in seconds: the median and the longest."""

    median: float
    longest: float


def usual_seconds(seen: Mapping[str, Sequence[float]]) -> dict[str, Usual]:
    """By step name, for the steps that have run here before."""
    return {name: Usual(median(seconds), max(seconds)) for name, seconds in seen.items() if seconds}


class Closely(Struct, frozen=True):
    """What was found out about the running step; empty for one that needs no closer look."""

    details: tuple[ContainerDetail, ...] = ()
    """The containers that the step waits for."""
    slowest: str = ""
    tail: tuple[str, ...] = ()
    """The end of the slowest one's log."""
    in_flight: int | None = None
    """Requests that are allowed to finish."""
    to_come: int | None = None
    """Bytes of uploads among them that are still to come; None if unknown."""


def closely_lines(step: StepView | None, closely: Closely, now: float, width: int, height: int) -> tuple[Line, ...]:
    """As many lines as fit: the services first, then the log of the slowest."""
    if step is None or height <= 0:
        return ()
    lines: list[Line] = []
    if closely.in_flight is not None:
        waited = clock(max(0.0, now - step.began)) if step.began is not None else ""
        oldest = "" if closely.in_flight == 1 else "the oldest "
        count = "One request is" if closely.in_flight == 1 else f"{closely.in_flight} requests are"
        lines.append((Piece(f"{count} in flight", Tone.STRONG), Piece(f", {oldest}for at least {waited}")))
        if closely.to_come:
            lines.append(plain(f"about {size_in_words(closely.to_come)} of uploads are still to come"))
    services = [_service_lines(detail, now) for detail in closely.details]
    if sum(map(len, services)) > height - len(lines):
        services = [_service_line(detail, now) for detail in closely.details]
    lines += [line for service in services for line in service]
    if closely.tail and len(lines) + 3 <= height:
        lines += [(), plain(f"The end of the log of {closely.slowest}", Tone.QUIET)]
        lines += [plain(f"  {line}") for line in closely.tail[len(lines) - height :]]
    return tuple(fitted(line, width) for line in lines[:height])


def _service_lines(detail: ContainerDetail, now: float) -> list[Line]:
    word = detail.health or detail.status
    is_on = detail.status == "running" and detail.health in ("", "healthy")
    mark, tone = ("✓", Tone.OK) if is_on else ("…", Tone.BUSY)
    if detail.health == "unhealthy" or detail.status in ("exited", "dead", "restarting"):
        mark, tone = "✗", Tone.BAD
    since = f"for {clock(max(0.0, now - detail.started_at))}" if detail.started_at is not None and not is_on else ""
    head = (Piece(f"{mark} ", tone), Piece(padded(detail.service, 14), Tone.STRONG), Piece(padded(word, 11), tone))
    lines: list[Line] = [(*head, Piece(since, Tone.QUIET))]
    if is_on or not detail.answers:
        return lines
    counts = f"; they count after {detail.start_seconds:.0f} s" if detail.start_seconds else ""
    return [*lines, plain(f"    {_said(detail)}"), plain(f"    {_failed(detail)}{counts}", Tone.QUIET)]


def _service_line(detail: ContainerDetail, now: float) -> list[Line]:
    """The same on one line, for when there is no room for more."""
    first, *more = _service_lines(detail, now)
    return [(*first[:-1], Piece(f"{_failed(detail)}: {_said(detail)}")) if more else first]


def _failed(detail: ContainerDetail) -> str:
    return f"{detail.failing_streak} of {detail.retries} checks failed"


def _said(detail: ContainerDetail) -> str:
    """The last answer of the health check."""
    return " ".join(detail.answers[-1].output.split()) or f"exit code {detail.answers[-1].exit_code}"


def step_seconds(step: StepView, usual: Usual | None, now: float) -> tuple[str, str, bool]:
    """The seconds so far or in total, the usual duration, and whether the step takes longer than ever before."""
    if step.seconds is not None:
        seconds, said = step.seconds, f"{step.seconds:.2f} s"
    elif step.began is not None:
        seconds = max(0.0, now - step.began)
        said = f"{seconds:.1f} s"
    else:
        return "", step_usual(usual), False
    is_longest = usual is not None and seconds > usual.longest
    return said, "longest yet" if is_longest else step_usual(usual), is_longest


def step_usual(usual: Usual | None) -> str:
    """The usual duration, in words."""
    return f"usual {usual.median:.1f} s" if usual is not None else ""


def closed_line(operation: OperationView, now: float, width: int) -> Line:
    """The downtime so far in words and, if there is room, as a bar with a tick at the end of the forecast."""
    seconds = operation.downtime(now)
    if seconds is None or (operation.is_over and seconds == 0):
        return plain("This operation has not closed the site.", Tone.QUIET)
    running = operation.closed_since is not None and not operation.is_over
    words = "Closed to visitors for " if running else "Was closed to visitors for "
    if operation.is_over and operation.closed_since is not None and operation.downtime_seconds is None:
        until = "was killed" if operation.outcome == KILLED else "ended"
        words = f"When it {until}, the site had been closed to visitors for "
    line: Line = (Piece(words, Tone.QUIET), Piece(clock(seconds), Tone.BUSY if running else Tone.STRONG))
    if operation.forecast is None or not operation.forecast.high:
        return line
    line = (*line, Piece(f", forecast {operation.forecast.in_words()}", Tone.QUIET))
    room = min(60, width - width_of(line) - 2)
    return (*line, Piece("  "), *_bar(seconds, operation.forecast.high, room)) if room >= _LEAST_BAR else line


def _bar(seconds: float, forecast: float, width: int) -> Line:
    """Filled up to now, with a tick at the forecast; anything beyond it stands out."""
    whole = max(1.4 * forecast, 1.05 * seconds)
    tick = min(width - 1, round(width * forecast / whole))
    filled = min(width, round(width * seconds / whole))
    before, beyond = min(filled, tick), max(0, filled - tick - 1)
    return (
        Piece("━" * before, Tone.ACCENT),
        Piece("╌" * (tick - before), Tone.QUIET),
        Piece("┃", Tone.STRONG),
        Piece("━" * beyond, Tone.BUSY),
        Piece("╌" * (width - tick - 1 - beyond), Tone.QUIET),
    )
