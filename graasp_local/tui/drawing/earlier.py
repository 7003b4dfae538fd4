"""One earlier operation beside the list: how it ended, its steps as a timeline, what differs from before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from graasp_local.tui.figures import ago, local_moment
from graasp_local.tui.tones import Line, Piece, Tone, fitted, padded, plain, right, wrapped
from graasp_local.wording import seconds_in_words

if TYPE_CHECKING:
    from graasp_local.journal.records import WalkRecord

_NAME, _SECONDS = 18, 9
_LEAST_DIFFERENCE = 0.05


def matching(walks: Sequence[WalkRecord], needle: str) -> tuple[WalkRecord, ...]:
    """Those that have every word of what was typed in their command, outcome, version or state."""
    words = needle.casefold().split()
    return tuple(walk for walk in walks if all(word in _text_of(walk) for word in words))


def _text_of(walk: WalkRecord) -> str:
    return f"{walk.command} {walk.outcome or 'killed'} {walk.version or ''} {walk.state} {walk.at}".casefold()


def earlier_lines(walk: WalkRecord, before: WalkRecord | None, now: float, width: int) -> tuple[Line, ...]:
    """`before` is the one of the same kind before it that went through, if there is one."""
    lines: list[Line] = [*wrapped(walk.command, width, Tone.STRONG, "  ")]
    lines.append(plain(f"{local_moment(walk.at)}, {ago(now - _began(walk))}", Tone.QUIET))
    lines.append(plain(f"{walk.outcome or 'killed'}{_took(walk)}{_closed(walk)}"))
    for sentence in filter(None, walk.problem):
        lines += wrapped(sentence, width, Tone.BAD if sentence == walk.problem[0] else Tone.PLAIN, "  ")
    lines += [(), plain("Timeline", Tone.QUIET), *_timeline(walk, width)]
    if before is not None:
        lines += [(), *_comparison(walk, before, width)]
    return tuple(fitted(line, width) for line in lines)


def one_before(walks: Sequence[WalkRecord], walk: WalkRecord) -> WalkRecord | None:
    """The last one before it that was begun by the same command and went through; walks are oldest first."""
    kind = _kind(walk)
    earlier = walks[: walks.index(walk)] if walk in walks else ()
    return next((w for w in reversed(earlier) if _kind(w) == kind and w.outcome in ("done", "held")), None)


def _kind(walk: WalkRecord) -> str:
    return next((word for word in walk.command.split()[1:] if not word.startswith("-")), "")


def _timeline(walk: WalkRecord, width: int) -> list[Line]:
    """A bar for each step where it stood in the whole, as long as it took."""
    room = width - _NAME - _SECONDS - 2
    whole = max(walk.seconds or 0.0, sum(float(step["seconds"]) for step in walk.steps)) or 1.0
    lines: list[Line] = []
    begun = 0.0
    for index, name in enumerate(walk.started_steps):
        step = walk.steps[index] if index < len(walk.steps) else None
        seconds = float(step["seconds"]) if step is not None else max(0.0, whole - begun)
        went = step is not None and step["outcome"] == "done"
        before = min(max(0, room - 1), round(room * begun / whole))
        bar = "█" * min(room - before, max(1, round(room * seconds / whole)))
        tone = Tone.ACCENT if went else Tone.BAD
        lines.append(
            (
                Piece("  " if went else "✗ ", tone),
                Piece(padded(name, _NAME - 1) + " "),
                Piece(right(f"{seconds:.1f} s" if step is not None else "killed", _SECONDS - 1) + " ", Tone.QUIET),
                Piece(" " * before + bar, tone),
            )
        )
        begun += seconds
    return lines


def _comparison(walk: WalkRecord, before: WalkRecord, width: int) -> tuple[Line, ...]:
    told = [
        _difference("it took", walk.seconds, before.seconds, "longer", "less"),
        _difference("the site was closed", walk.downtime_seconds, before.downtime_seconds, "longer", "less"),
    ]
    known = [text for text in told if text]
    if not known:
        return ()
    return wrapped(f"Compared with {local_moment(before.at)}: {', '.join(known)}.", width, Tone.PLAIN, "  ")


def _difference(what: str, now: float | None, then: float | None, more: str, less: str) -> str:
    if now is None or then is None:
        return ""
    if abs(now - then) < _LEAST_DIFFERENCE:
        return f"{what} as long"
    return f"{what} {seconds_in_words(abs(now - then))} {more if now > then else less}"


def _took(walk: WalkRecord) -> str:
    return f" in {seconds_in_words(walk.seconds)}" if walk.seconds is not None else ""


def _closed(walk: WalkRecord) -> str:
    match walk.downtime_seconds:
        case None:
            return ""
        case 0.0:
            return ", without closing the site"
        case seconds:
            return f", closed for {seconds_in_words(seconds)}"


def _began(walk: WalkRecord) -> float:
    try:
        return datetime.fromisoformat(walk.at).timestamp()
    except ValueError:
        return 0.0
