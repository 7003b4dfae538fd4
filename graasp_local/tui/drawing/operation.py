"""Plans and operations as lines: steps with their causes beforehand, then with seconds and output. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.cells import cell_len

from graasp_local.planning.plan import Plan, render
from graasp_local.planning.steps import OpenGate, StartServices, Step, StopServices
from graasp_local.tui.drawing.keys import KeyHint, hint_lines
from graasp_local.tui.drawing.progress import Usual, step_seconds, step_usual
from graasp_local.tui.drawing.tables import Row, Table
from graasp_local.tui.figures import zone
from graasp_local.tui.model import Reception
from graasp_local.tui.operation_view import OperationView, Progress, StepView, in_words
from graasp_local.tui.tones import Line, Piece, Tone, fitted, padded, plain, right, wrapped
from graasp_local.wording import listed

_MARKS = {
    Progress.WAITING: ("·", Tone.QUIET),
    Progress.DOING: ("▶", Tone.BUSY),
    Progress.DONE: ("✓", Tone.OK),
    Progress.FAILED: ("✗", Tone.BAD),
    Progress.CUT: ("✗", Tone.BAD),
}

_SECONDS_WIDTH = 9
_LEAST_CAUSE_ROOM = 40
"""In columns. In fewer, a cause would wrap into a tower of words."""


def plan_table(plan: Plan, width: int, reasons: Mapping[str, str] | None = None) -> Table:
    """Every step with its cause; a bar at the left marks the steps during which the site is closed.

    Title and cause are side by side if there is room, otherwise one below the other, on as many lines as needed;
    nothing is cut off. Closed steps whose name is in `reasons` also say how long they take.
    """
    titles = [step.title for step in plan.steps]
    longest = max([len(text) for text in titles], default=0)
    cause_room = width - longest - 9
    rows = []
    for index, (step, text) in enumerate(zip(plan.steps, titles, strict=True)):
        bar = Piece("┃ " if index in plan.closed_span else "  ", Tone.BUSY)
        number, below = Piece(f"{index + 1:>2}  ", Tone.QUIET), Piece("    ")
        reason = (reasons or {}).get(step.name, "") if index in plan.closed_span else ""
        cause = f"{step.cause}; {reason}" if reason else step.cause
        told: list[Line]
        if cause_room >= _LEAST_CAUSE_ROOM:
            causes = textwrap.wrap(cause, cause_room) or [""]
            beside = [text, *[""] * (len(causes) - 1)]
            told = [
                (Piece(padded(left, longest + 2), Tone.STRONG), Piece(said, Tone.QUIET))
                for left, said in zip(beside, causes, strict=True)
            ]
        else:
            told = [plain(line, Tone.STRONG) for line in textwrap.wrap(text, width - 7)]
            told += [plain(line, Tone.QUIET) for line in textwrap.wrap(f"because {cause}", width - 7)]
        for place, line in enumerate(told):
            rows.append(Row(f"{index} {place}", (bar, below if place else number, *line), f"{text} {cause}"))
    return Table((), tuple(rows))


def steps_table(operation: OperationView, usual: Mapping[str, Usual], now: float, width: int) -> Table:
    """The steps of an operation with their seconds, right next to the longest title if there is room.

    The usual duration is shown before the seconds: always for the running step, otherwise if the title leaves room. A
    step that takes longer than ever before is always marked, and stands out.
    """
    longest = max([48, *(cell_len(step.title) for step in operation.steps)])
    usual_width = 2 + max((len(words) for words in (step_usual(each) for each in usual.values())), default=-2)
    room = max(10, min(width - 4 - _SECONDS_WIDTH, longest + 1 + usual_width))
    rows = []
    for index, step in enumerate(operation.steps):
        goes_back = operation.rollback_from is not None and index >= operation.rollback_from
        mark, tone = _MARKS[step.progress]
        title_tone = Tone.QUIET if step.progress is Progress.WAITING else Tone.PLAIN
        if step.progress in (Progress.DOING, Progress.FAILED, Progress.CUT):
            title_tone = Tone.STRONG
        seconds, usually, is_longest = step_seconds(step, usual.get(step.name), now)
        if not (is_longest or step.progress is Progress.DOING) and cell_len(step.title) + 2 + len(usually) > room:
            usually = ""
        usually = f"  {usually}" if usually else ""
        seconds_tone = Tone.ACCENT if step.progress is Progress.DOING else Tone.QUIET
        line = (
            Piece("↺ " if goes_back else ("┃ " if step.closed else "  "), Tone.BUSY),
            Piece(f"{mark} ", tone),
            Piece(padded(step.title, room - len(usually)), title_tone),
            Piece(usually, Tone.BUSY if is_longest else Tone.QUIET),
            Piece(right(seconds, _SECONDS_WIDTH), Tone.BUSY if is_longest else seconds_tone),
        )
        rows.append(Row(str(index), line))
    return Table((), tuple(rows))


def output_lines(step: StepView | None, width: int, height: int) -> tuple[Line, ...]:
    """The newest lines of a step's output, below its cause."""
    if step is None:
        return ()
    head = (*wrapped(f"Because {step.cause}.", width, Tone.QUIET, "  "),)
    room = max(0, height - len(head))
    said = [fitted(plain(f"  {line}", _tone_of(line)), width) for line in step.output[-room:]] if room else []
    return (*head, *said)


def _tone_of(line: str) -> Tone:
    if line.startswith("$ "):
        return Tone.QUIET
    return Tone.BAD if "ERROR" in line or "FATAL" in line else Tone.PLAIN


def ending_lines(operation: OperationView, now_possible: Sequence[KeyHint], width: int) -> tuple[Line, ...]:
    """What happened, in words, and what can be done now; empty while the operation is running."""
    if not operation.is_over:
        return ()
    good = operation.outcome in ("done", "held", "nothing-to-do")
    mark, tone = ("✓", Tone.OK) if good else ("✗", Tone.BAD)
    if operation.outcome == "rolled-back":
        mark, tone = "↺", Tone.BUSY
    lines = [*wrapped(f"{mark} {in_words(operation)}", width, tone, "  ")]
    for sentence in operation.problem:
        lines += wrapped(f"  {sentence}", width, Tone.PLAIN, "  ")
    lines += hint_lines(now_possible, width, "  ")
    return tuple(lines)


def operation_title(operation: OperationView, width: int, *, begun_elsewhere: bool) -> Line:
    """The operation's command, when it began, and whether it was started elsewhere."""
    at = datetime.fromtimestamp(operation.began).astimezone()
    when = Piece(f"   {at.day} {at:%b %H:%M:%S} {zone()}", Tone.QUIET)
    where = Piece("   started elsewhere" if begun_elsewhere else "", Tone.BUSY)
    return fitted((Piece(operation.command, Tone.STRONG), when, where), width)


def plan_head(
    plan: Plan,
    estimate: str,
    reception: Reception,
    width: int,
    *,
    visited: tuple[str, ...] = (),
    closes_what_was_left: bool = False,
    powers: tuple[str, ...] = (),
) -> tuple[Line, ...]:
    """A summary of the plan: how many steps, and how long visitors are kept out."""
    if not plan.steps:
        ahead = " Going ahead records it as finished." if closes_what_was_left else ""
        return (*wrapped(render(plan) + ahead, width, Tone.OK),)
    count = f"{len(plan.steps)} steps. " if len(plan.steps) > 1 else "One step. "
    hint = wrapped(plan.hint, width, Tone.QUIET) if plan.hint else ()
    asked = tuple(line for sentence in powers for line in wrapped(f"! {sentence}", width, Tone.BUSY))
    return (*wrapped(count + _what_visitors_notice(plan, estimate, reception, visited), width), *asked, *hint, ())


def _what_visitors_notice(plan: Plan, estimate: str, reception: Reception, visited: tuple[str, ...]) -> str:
    opening = [number for number, step in enumerate(plan.steps, start=1) if isinstance(step, OpenGate)]
    if opening and estimate:
        return f"The site is closed during the steps marked ┃. Expected downtime: {estimate}."
    if opening and reception is Reception.NOTHING:
        return f"nginx does not answer visitors now; step {opening[-1]} lets them in."
    if opening:
        return f"The site is already closed to visitors; step {opening[-1]} opens it."
    if len(plan.closed_span):
        return "The steps marked ┃ close the site to visitors, and it stays closed."
    return _while_the_gate_stays(plan, reception, visited)


def _while_the_gate_stays(plan: Plan, reception: Reception, visited: tuple[str, ...]) -> str:
    """What visitors notice of a plan that neither closes nor opens the gate."""
    stops, starts = (
        [number for number, step in enumerate(plan.steps, start=1) if _moves(step, kind, visited)]
        for kind in (StopServices, StartServices)
    )
    match reception:
        case Reception.PAGE:
            return "The site stays closed to visitors, as it is."
        case Reception.NOTHING:
            return "nginx does not answer visitors now."
        case Reception.ERRORS:
            until = f" until step {starts[-1]} is done" if starts else ""
            return f"Visitors get errors{until}: {listed(visited)} {'does' if len(visited) == 1 else 'do'} not answer."
    if plan.keeps_open or not (stops or starts):
        return "Visitors are served throughout."
    first, last = min(stops + starts), max(stops + starts)
    when = f"During step {first}" if first == last else f"From step {first} to step {last}"
    are = "is" if len(visited) == 1 else "are"
    return f"{when}, visitors get errors: {listed(visited)} {are} off, and the gate stays open."


def _moves(step: Step, kind: type[StopServices | StartServices], visited: tuple[str, ...]) -> bool:
    return isinstance(step, kind) and not {*step.services}.isdisjoint(visited)


def refusal_lines(sentences: tuple[str, ...], width: int) -> tuple[Line, ...]:
    """Why there is no plan."""
    lines: list[Line] = [plain("✗ Refused", Tone.BAD), ()]
    for sentence in sentences:
        lines += wrapped(sentence, min(width, 90))
    return tuple(lines)
