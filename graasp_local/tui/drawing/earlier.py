"""One earlier operation next to the list: how it ended, a timeline of its steps, how it compares. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graasp_local.journal.status import UNDER_WAY
from graasp_local.tui.drawing.month import ending_of
from graasp_local.tui.figures import ago_of, local_moment
from graasp_local.tui.tones import Line, Piece, Tone, fitted, padded, plain, right, wrapped
from graasp_local.wording import seconds_in_words

if TYPE_CHECKING:
    from graasp_local.journal.records import OperationRecord

_LEAST_BAR, _SECONDS = 12, 9
_LEAST_DIFFERENCE = 0.05


def earlier_lines(
    operation: OperationRecord, before: OperationRecord | None, now: float, width: int
) -> tuple[Line, ...]:
    """`before` is the last successful operation of the same kind before it, if there is one."""
    lines: list[Line] = [*wrapped(operation.command, width, Tone.STRONG, "  ")]
    lines.append(plain(f"{local_moment(operation.at)}, {ago_of(operation.at, now)}", Tone.QUIET))
    lines.append(plain(f"{ending_of(operation)}{_took(operation)}{_closed(operation)}"))
    for sentence in filter(None, operation.problem):
        lines += wrapped(sentence, width, Tone.BAD if sentence == operation.problem[0] else Tone.PLAIN, "  ")
    lines += [(), plain("Timeline", Tone.QUIET), *_timeline(operation, width)]
    if before is not None:
        lines += [(), *_comparison(operation, before, width)]
    return tuple(fitted(line, width) for line in lines)


def one_before(operations: Sequence[OperationRecord], operation: OperationRecord) -> OperationRecord | None:
    """The last successful operation before it with the same command; `operations` are oldest first."""
    kind = _kind(operation)
    earlier = operations[: operations.index(operation)] if operation in operations else ()
    return next((w for w in reversed(earlier) if _kind(w) == kind and w.succeeded), None)


def _kind(operation: OperationRecord) -> str:
    return next((word for word in operation.command.split()[1:] if not word.startswith("-")), "")


def _timeline(operation: OperationRecord, width: int) -> list[Line]:
    """A bar for each step, placed and sized by when it ran and how long it took."""
    longest = 1 + max((len(title) for title in operation.titles), default=0)
    titles = max(0, min(longest, width - _LEAST_BAR - _SECONDS - 2))
    room = width - titles - _SECONDS - 2
    whole = max(operation.seconds or 0.0, sum(float(step["seconds"]) for step in operation.steps)) or 1.0
    lines: list[Line] = []
    begun = 0.0
    cut, cut_tone = ("…", Tone.BUSY) if operation.outcome == UNDER_WAY else ("killed", Tone.BAD)
    for index, title in enumerate(operation.titles):
        step = operation.steps[index] if index < len(operation.steps) else None
        seconds = float(step["seconds"]) if step is not None else max(0.0, whole - begun)
        went = step is not None and step["outcome"] == "done"
        before = min(max(0, room - 1), round(room * begun / whole))
        bar = "█" * min(room - before, max(1, round(room * seconds / whole)))
        tone = Tone.ACCENT if went else cut_tone if step is None else Tone.BAD
        lines.append(
            (
                Piece("  " if went else "▶ " if step is None and cut == "…" else "✗ ", tone),
                Piece(padded(title, titles - 1) + " "),
                Piece(right(f"{seconds:.1f} s" if step is not None else cut, _SECONDS - 1) + " ", Tone.QUIET),
                Piece(" " * before + bar, tone),
            )
        )
        begun += seconds
    return lines


def _comparison(operation: OperationRecord, before: OperationRecord, width: int) -> tuple[Line, ...]:
    told = [
        _difference("", operation.seconds, before.seconds, "slower", "faster", "just as fast"),
        _difference(
            "closed ", operation.downtime_seconds, before.downtime_seconds, "longer", "shorter", "just as long"
        ),
    ]
    known = [text for text in told if text]
    if not known:
        return ()
    return wrapped(f"Compared with {local_moment(before.at)}: {', '.join(known)}.", width, Tone.PLAIN, "  ")


def _difference(what: str, now: float | None, then: float | None, more: str, less: str, same: str) -> str:
    if now is None or then is None:
        return ""
    if abs(now - then) < _LEAST_DIFFERENCE:
        return f"{what}{same}"
    return f"{what}{seconds_in_words(abs(now - then))} {more if now > then else less}"


def _took(operation: OperationRecord) -> str:
    return f" in {seconds_in_words(operation.seconds)}" if operation.seconds is not None else ""


def _closed(operation: OperationRecord) -> str:
    match operation.downtime_seconds:
        case None:
            return ""
        case 0.0:
            return ", without closing the site"
        case seconds:
            return f", closed for {seconds_in_words(seconds)}"
