"""A plan and a walk as lines: steps with their causes before, with seconds and output while and after. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from graasp_local.plan import Plan, render
from graasp_local.steps import title
from graasp_local.tui.drawing.tables import Row, Table
from graasp_local.tui.tones import Line, Piece, Tone, fitted, padded, plain, right, wrapped
from graasp_local.tui.walk_view import Progress, StepView, WalkView, in_words

_MARKS = {
    Progress.WAITING: ("·", Tone.QUIET),
    Progress.DOING: ("▶", Tone.BUSY),
    Progress.DONE: ("✓", Tone.OK),
    Progress.FAILED: ("✗", Tone.BAD),
}


def plan_table(plan: Plan, width: int) -> Table:
    """Every step with its cause; a bar at the left says during which the site is closed."""
    titles = [title(step) for step in plan.steps]
    longest = max([len(text) for text in titles], default=0)
    side_by_side = width >= 7 + longest + 30
    rows = []
    for index, (step, text) in enumerate(zip(plan.steps, titles, strict=True)):
        closed = index in plan.closed_span
        lead = (Piece("┃ " if closed else "  ", Tone.BUSY), Piece(f"{index + 1:>2}  ", Tone.QUIET))
        if side_by_side:
            rows.append(
                Row(str(index), (*lead, Piece(padded(text, longest + 2), Tone.STRONG), Piece(step.cause, Tone.QUIET)))
            )
        else:
            rows.append(Row(str(index), (*lead, Piece(text, Tone.STRONG))))
            rows.append(Row(f"{index} cause", (lead[0], Piece(f"    because {step.cause}", Tone.QUIET))))
    return Table((), tuple(rows))


def steps_table(walk: WalkView, now: float, width: int) -> Table:
    """The steps of a walk with their seconds."""
    rows = []
    for index, step in enumerate(walk.steps):
        mark, tone = _MARKS[step.progress]
        text = padded(step.title, max(10, width - 17))
        line = (
            Piece("┃ " if step.closed else "  ", Tone.BUSY),
            Piece(f"{mark} ", tone),
            Piece(
                text,
                Tone.STRONG
                if step.progress in (Progress.DOING, Progress.FAILED)
                else (Tone.QUIET if step.progress is Progress.WAITING else Tone.PLAIN),
            ),
            Piece(right(_step_seconds(step, now), 11), tone if step.progress is Progress.DOING else Tone.QUIET),
        )
        rows.append(Row(str(index), line))
    return Table((), tuple(rows))


def _step_seconds(step: StepView, now: float) -> str:
    if step.seconds is not None:
        return f"{step.seconds:.2f} s"
    if step.progress is Progress.DOING and step.began is not None:
        return f"{max(0.0, now - step.began):.1f} s"
    return ""


def output_lines(step: StepView | None, width: int, height: int) -> tuple[Line, ...]:
    """The newest lines that a step has said, under its cause."""
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


def ending_lines(walk: WalkView, width: int) -> tuple[Line, ...]:
    """What happened, in words, and what can be done now; nothing while the walk is under way."""
    if not walk.is_over:
        return ()
    good = walk.outcome in ("done", "held", "nothing-to-do")
    mark, tone = ("✓", Tone.OK) if good else ("✗", Tone.BAD)
    if walk.outcome == "rolled-back":
        mark, tone = "↺", Tone.BUSY
    lines = [*wrapped(f"{mark} {in_words(walk)}", width, tone, "  ")]
    for sentence in walk.problem:
        lines += wrapped(f"  {sentence}", width, Tone.PLAIN, "  ")
    return tuple(lines)


def walk_title(walk: WalkView, width: int) -> Line:
    """What was typed for the walk, and when it began."""
    at = datetime.fromtimestamp(walk.began, UTC)
    return fitted((Piece(walk.command, Tone.STRONG), Piece(f"   {at.day} {at:%b %H:%M:%S} UTC", Tone.QUIET)), width)


def plan_head(plan: Plan, estimate: str, width: int) -> tuple[Line, ...]:
    """What the plan comes to: how many steps, and how long visitors are kept out."""
    if not plan.steps:
        return (*wrapped(render(plan), width, Tone.OK),)
    count = f"{len(plan.steps)} steps. " if len(plan.steps) > 1 else "One step. "
    closed = (
        f"The site will be closed for {estimate}: the steps marked ┃."
        if estimate
        else ("Steps marked ┃ leave the site closed." if len(plan.closed_span) else "Visitors stay served.")
    )
    return (*wrapped(count + closed, width), ())


def refusal_lines(sentences: tuple[str, ...], width: int) -> tuple[Line, ...]:
    """Why there is no plan."""
    lines: list[Line] = [plain("✗ Refused", Tone.BAD), ()]
    for sentence in sentences:
        lines += wrapped(sentence, min(width, 90))
    return tuple(lines)
