"""The head of the dashboard as lines: the strip of states, the facts, what is wrong and what to type. Pure.

`operation` is always the one that is running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.planning.states import Drifted, Gate, InfraState, InState, ServiceGroup
from graasp_local.tui.drawing.standing import standing_lines
from graasp_local.tui.figures import ago_of, clock_time, local_moment
from graasp_local.tui.tones import Line, Piece, Tone, fitted, padded, paragraphs, plain, width_of, wrapped
from graasp_local.verbs import verb
from graasp_local.wording import seconds_in_words

if TYPE_CHECKING:
    from graasp_local.tui.model import SiteView
    from graasp_local.tui.operation_view import OperationView

STATES = tuple(InfraState)

_MEANING = {
    InfraState.RUNNING: "visitors are served",
    InfraState.RESTRICTED: "maintenance page, everything is on",
    InfraState.DB_ONLY: "maintenance page, only the database and umami are on",
    InfraState.STOPPED: "everything is off, visitors get no answer",
}


def meaning(state: InfraState, *, page_when_stopped: bool) -> str:
    """What a state is, in a few words."""
    if state is InfraState.STOPPED and page_when_stopped:
        return "maintenance page, everything else is off"
    return _MEANING[state]


def title_line(view: SiteView | None, width: int, *, read_only: bool, stale: str = "") -> Line:
    """Which site this is and its public URL; `stale` says which part of the screen is out of date, and since when."""
    left: Line = (Piece("graasp-local", Tone.STRONG), Piece(f"  {view.project}" if view else "", Tone.ACCENT))
    if read_only:
        left = (*left, Piece("  read only", Tone.BUSY))
    if stale:
        left = (*left, Piece(f"  {stale}", Tone.BUSY))
    url = view.url if view else ""
    gap = width - width_of(left) - len(url)
    return (*left, Piece(" " * gap), Piece(url, Tone.QUIET)) if gap > 1 else fitted(left, width)


def strip_lines(
    view: SiteView | None, operation: OperationView | None, width: int, *, clickable: bool, seen_at: float | None = None
) -> tuple[Line, ...]:
    """The four states; a filled circle marks the observed state, an arrow shows which way an operation goes.

    If the site cannot be observed now, `seen_at` is when it last was: the circle is then broken, with the time below.
    """
    cell = max(12, width // len(STATES))
    here, is_between, ahead = _position(view, operation)
    top: list[Piece] = []
    below: list[Piece] = []
    for index, state in enumerate(STATES):
        target = operation is not None and operation.target == state.value
        mark = ("◐" if is_between else "●") if state is here else ("◎" if target else "○")
        if state is here and seen_at is not None:
            mark = "◌"
        action = f"app.change_to('{state.value}')" if clickable and view is not None else ""
        label = f" {mark} {state.value} "
        tone = Tone.HERE if state is here else (Tone.ACCENT if state is ahead else Tone.PLAIN)
        if seen_at is not None:
            tone = Tone.QUIET
        is_last = index == len(STATES) - 1
        room = (width - cell * index if is_last else cell) - len(label)
        top.append(Piece(label, tone, action))
        direction = _direction(index, here, ahead)
        top.append(Piece("" if is_last else _rail(room, direction), Tone.ACCENT if direction else Tone.QUIET))
        told = _note(view, operation, state, here, ahead, cell - 4)
        if seen_at is not None:
            told = f"at {clock_time(seen_at)}" if state is here else ""
        note = padded(f"   {told}", cell - 1) + " "
        below.append(Piece(note, Tone.QUIET))
    return fitted(tuple(top), width), fitted(tuple(below), width)


def fact_lines(view: SiteView | None, now: float, width: int) -> tuple[Line, ...]:
    """Gate, version and the last deployment, and how long ago that was if there is room."""
    if view is None:
        return (plain("Checking the site …", Tone.QUIET), ())
    gate_tone = {Gate.OPEN: Tone.OK, Gate.UNKNOWN: Tone.BAD}.get(view.observed.gate, Tone.BUSY)
    gate = "not answering" if view.observed.gate is Gate.UNKNOWN else view.observed.gate.in_words
    if view.core_answers is False:
        gate, gate_tone = "open, core does not answer", Tone.BAD
    line: list[Piece] = [Piece("Gate ", Tone.QUIET), Piece(gate, gate_tone)]
    if view.observed.group_is_off(ServiceGroup.EDGE):
        tone = Tone.QUIET if view.drift is None else Tone.BAD
        line = [Piece("nginx is off, visitors get no answer", tone)]
    line += [Piece("   Version ", Tone.QUIET), Piece(view.version or "none deployed yet", Tone.STRONG)]
    last = view.last_deployment
    if last is not None:
        which = "" if last.version == view.version else f"{last.version}, "
        line += [Piece("   Deployed ", Tone.QUIET), Piece(f"{which}{local_moment(last.at)}")]
        closed: list[Piece] = []
        if last.downtime_seconds == 0:
            closed = [Piece(", without downtime", Tone.QUIET)]
        elif last.downtime_seconds is not None:
            closed = [Piece(", closed for ", Tone.QUIET), Piece(seconds_in_words(last.downtime_seconds))]
        since = Piece(f", {ago_of(last.at, now)}", Tone.QUIET)
        line += [since, *closed] if width_of((*line, since, *closed)) <= width else closed
    return (fitted(tuple(line), width),)


def alarm_lines(view: SiteView, width: int) -> tuple[Line, ...]:
    """The loudest thing on the screen: visitors are let in but get errors."""
    if view.core_answers is not False:
        return ()
    text = "✗ Visitors get errors: the gate is open, but core does not answer."
    return (plain(padded(f" {text}", width), Tone.ALARM),)


def notice_lines(view: SiteView | None, operation: OperationView | None, now: float, width: int) -> tuple[Line, ...]:
    """What is running or wrong, and what to do about it; empty on a good day."""
    if view is None:
        return ()
    lines: list[Line] = [*alarm_lines(view, width)]
    if operation is not None:
        current = operation.current
        doing = operation.steps[current].title if current is not None else "starting"
        told = (Piece("▶ ", Tone.BUSY), Piece(operation.command, Tone.STRONG), Piece(f"  {doing}  "))
        return (*lines, fitted((*told, Piece("w watch", Tone.KEY, "app.watch")), width))
    if view.holder is not None:
        lines += wrapped(f"▶ Running on this site: {view.holder.described()}", width, Tone.BUSY, "  ")
    lines += standing_lines(view, now, width)
    damaged = [f"✗ The journal is damaged: {damage}" for damage in view.damaged_operations[:2]]
    migrating = [f"▶ A migration is running: {name}" for name in view.observed.migrations]
    lines += [*paragraphs(damaged, width, Tone.BAD, "  "), *paragraphs(migrating, width, Tone.BUSY, "  ")]
    if view.drift is not None and view.holder is None:
        lines += [fitted(plain(f"◐ {sentence}", Tone.BUSY), width) for sentence in view.drift.differences[:3]]
        more = len(view.drift.differences) - 3
        if more > 0:
            lines.append(plain(f"  and {more} more", Tone.QUIET))
    for step in view.next_steps:
        row = verb(step.verb)
        key = Piece(f"  {row.key} ", Tone.KEY, f"app.verb('{row.name}')")
        words = (Piece(step.command, Tone.STRONG, key.action), Piece(f"  {step.does}", Tone.QUIET))
        lines.append(fitted((key, *words), width))
    return tuple(lines)


def _note(
    view: SiteView | None,
    operation: OperationView | None,
    state: InfraState,
    here: InfraState | None,
    ahead: InfraState | None,
    room: int,
) -> str:
    if view is None:
        return ""
    if state is here:
        return view.reception.value
    if operation is not None:
        return "next" if state is ahead else ""
    # Observing the site has already imported the planning code; before that there is nothing to say here.
    from graasp_local.tui.model import change_in_few_words

    return change_in_few_words(view, state, room)


def _position(
    view: SiteView | None, operation: OperationView | None
) -> tuple[InfraState | None, bool, InfraState | None]:
    """The observed state, whether the site has drifted from it, and the state that a running operation heads for."""
    if view is None:
        return None, False, None
    found = view.observed_now if operation is not None else view.classification
    here = found.state if isinstance(found, InState) else (found.nearest if isinstance(found, Drifted) else None)
    ahead = operation.heads_for(here) if operation is not None else None
    return here, isinstance(found, Drifted), ahead


def _direction(index: int, here: InfraState | None, ahead: InfraState | None) -> str:
    """Which way an operation moves along the rail between this state and the next one: `>`, `<` or empty."""
    if here is None or ahead is None:
        return ""
    a, b = STATES.index(here), STATES.index(ahead)
    if min(a, b) <= index < max(a, b):
        return ">" if b > a else "<"
    return ""


def _rail(room: int, direction: str) -> str:
    if room < 3:
        return " " * max(0, room)
    middle = (room - 1) // 2
    if direction == ">":
        return "━" * (room - 2) + "▶ "
    if direction == "<":
        return " ◀" + "━" * (room - 2)
    return "─" * middle + "─" * (room - middle)
