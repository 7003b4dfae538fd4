"""What an operation reports while it runs, as lines for people and as JSON objects for programs.

The command line, the journal and every screen read these and nothing else. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, assert_never

from msgspec import Struct, to_builtins

from graasp_local.errors import ExitCode, GraaspLocalError, Interrupted
from graasp_local.journal.closings import Closing
from graasp_local.journal.visits import ProbeReport
from graasp_local.planning.estimate import Estimate
from graasp_local.planning.plan import Plan
from graasp_local.planning.requests import Request, as_record
from graasp_local.planning.server import Upgrade
from graasp_local.planning.states import Gate
from graasp_local.planning.timings import Range
from graasp_local.version import Images
from graasp_local.wording import seconds_in_words


class Outcome(StrEnum):
    """How an operation ended."""

    DONE = "done"
    NOTHING_TO_DO = "nothing-to-do"
    HELD = "held"
    ROLLED_BACK = "rolled-back"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class StepOutcome(StrEnum):
    DONE = "done"
    FAILED = "failed"


class OperationStarted(Struct, frozen=True):
    """The first event; `command` is the request as it can be typed, which never contains secrets."""

    operation: str
    command: str
    plan: Plan
    request: Request | None = None
    """What was asked for."""
    asked: Request | None = None
    """The same or, for a `resume`, the request of the operation that it continues."""
    came_from: str = ""
    """The state before the first of the attempts that this operation belongs to; a rollback ends there."""
    previous_version: str = ""
    """The version before them."""
    is_first: bool = False
    """Nothing was deployed before them: a rollback leaves the site without a version."""
    previous_images: Images = ()
    """The exact images that the previous version had then."""
    images: Images = ()
    """The images that the version is to have, if not those that its tags point to."""
    snapshot: str = ""
    """The snapshot that a rollback would put back, if a migration has begun."""
    migrated_before: bool = False
    """An earlier attempt had already begun to migrate."""
    written_before: bool = False
    """Visitors may have written to the database since then: putting the snapshot back would discard that."""
    may_be_written: bool = False
    """Something else may have written to it behind the gate: workers, or people with the bypass."""
    gate: Gate = Gate.UNKNOWN
    """What nginx answered before the operation began: if it kept visitors out, an opening that was cut off had no
    effect.
    """
    forecast: Estimate | None = None
    """How long it will close the site; None if it is not open, or will not be opened again."""


class RollbackStarted(Struct, frozen=True):
    """The deployment has failed, and `plan` puts the site back; `problem` says what failed.

    `gate` is what nginx answered before it began: if it kept visitors out, an opening that failed had no effect.
    """

    plan: Plan
    problem: tuple[str, ...]
    gate: Gate = Gate.UNKNOWN


class StepStarted(Struct, frozen=True):
    index: int
    name: str
    title: str
    cause: str


class StepOutput(Struct, frozen=True):
    """A line from inside a step: a command that is run, a container's output, a result."""

    index: int
    text: str


class StepEnded(Struct, frozen=True):
    """`seconds` is how long the step took; `problem` holds the error's sentences if it failed.

    `was_needed` is False if there was nothing to do, and nothing was done.
    """

    index: int
    name: str
    outcome: StepOutcome
    seconds: float
    problem: tuple[str, ...] = ()
    was_needed: bool = True


class Probed(Struct, frozen=True):
    """What visitors got during the operation, if it ran with a prober; comes before the last event."""

    report: ProbeReport


class OperationEnded(Struct, frozen=True):
    """The last event. `downtime_seconds` is how long it kept visitors out (closings.py); None if it did not close the
    site, or the site is still closed; 0.0 if it stayed open while what serves visitors was replaced.
    """

    operation: str
    outcome: Outcome
    state: str
    version: str
    downtime_seconds: float | None
    seconds: float
    steps: tuple[StepEnded, ...]
    exit_code: ExitCode = ExitCode.DONE
    problem: tuple[str, ...] = ()
    gate: Gate = Gate.UNKNOWN
    """What nginx answers after the operation."""
    closing: Closing | None = None
    """The closing that ended with this operation, whatever began it."""
    changed: bool = True
    """Whether version, images or database differ from before, if the operation succeeded."""
    forecast: Range | None = None
    """How long the operation was expected to close the site."""


Event = OperationStarted | RollbackStarted | StepStarted | StepOutput | StepEnded | Probed | OperationEnded


def ended_before_it_began(error: GraaspLocalError) -> OperationEnded:
    """The event for an operation that was refused, or that broke, before its first event."""
    outcome = Outcome.INTERRUPTED if isinstance(error, Interrupted) else Outcome.REFUSED
    if error.exit_code is ExitCode.UNEXPECTED:
        outcome = Outcome.FAILED
    return OperationEnded("", outcome, "unknown", "", None, 0.0, (), error.exit_code, error.sentences, changed=False)


def as_json(event: Event) -> dict[str, Any]:
    """One JSON object per event; its `event` says which kind it is."""
    match event:
        case OperationStarted(operation=operation, command=command, plan=plan):
            return {
                "event": "operation-started",
                "operation": operation,
                "command": command,
                "request": as_record(event.request) if event.request else None,
                "asked": as_record(event.asked) if event.asked else None,
                "target": plan.target.value,
                "version": str(plan.version) if plan.version else None,
                "upgrade": _upgrade_summary(plan.upgrade) if plan.upgrade else None,
                "came_from": event.came_from,
                "previous_version": event.previous_version,
                "is_first": event.is_first,
                "previous_images": dict(event.previous_images),
                "images": dict(event.images),
                "goes_back": plan.goes_back,
                "snapshot": event.snapshot,
                "migrated_before": event.migrated_before,
                "written_before": event.written_before,
                "may_be_written": event.may_be_written,
                "gate": event.gate.value,
                "forecast": event.forecast.as_json() if event.forecast else None,
                "database_bytes": event.forecast.database_bytes if event.forecast else None,
                "restore": to_builtins(plan.restore),
                "plan": _plan_summary(plan),
            }
        case RollbackStarted(plan=plan, problem=problem, gate=gate):
            return {
                "event": "rollback-started",
                "gate": gate.value,
                "plan": _plan_summary(plan),
                "problem": list(problem),
            }
        case StepStarted(index=index, name=name, title=text, cause=cause):
            return {"event": "step-started", "index": index, "name": name, "title": text, "cause": cause}
        case StepOutput(index=index, text=text):
            return {"event": "step-output", "index": index, "text": text}
        case StepEnded():
            return {"event": "step-ended", "index": event.index, **_step_summary(event)}
        case Probed(report=report):
            return {"event": "probed", **report.as_json()}
        case OperationEnded():
            return {
                "event": "operation-ended",
                "operation": event.operation,
                "outcome": event.outcome.value,
                "state": event.state,
                "gate": event.gate.value,
                "version": event.version,
                "downtime_seconds": _rounded(event.downtime_seconds),
                "closing": event.closing.as_json(event.closing.since) if event.closing else None,
                "forecast": event.forecast.as_json() if event.forecast else None,
                "seconds": _rounded(event.seconds),
                "steps": [_step_summary(step) for step in event.steps],
                "exit_code": event.exit_code.value,
                "problem": list(event.problem),
                "changed": event.changed,
            }
        case _:
            assert_never(event)


def as_lines(event: Event) -> tuple[str, ...]:
    """The event for a person, without color: a tick or a cross says what color would."""
    match event:
        case OperationStarted(operation=operation):
            return (f"Operation {operation}",)
        case RollbackStarted(problem=problem):
            return (*problem[:1], "Rolling back.")
        case StepStarted(title=text):
            return (f"  · {text}",)
        case StepOutput(text=text):
            return (f"      {text}",)
        case StepEnded(outcome=StepOutcome.DONE, name=name, seconds=seconds):
            return (f"  ✓ {name}  {seconds:.2f} s",)
        case StepEnded(name=name, seconds=seconds):
            return (f"  ✗ {name}  {seconds:.2f} s",)
        case Probed(report=report):
            return report.as_lines()
        case OperationEnded():
            return (*event.problem, summary(event)) if event.problem else (summary(event),)
        case _:
            assert_never(event)


def summary(ended: OperationEnded) -> str:
    """One sentence about how an operation ended."""
    downtime = _closed_for(ended)
    version = f" with version {ended.version}" if ended.version else ""
    match ended.outcome:
        case Outcome.DONE:
            return f"Done in {ended.seconds:.1f} s: the site is {ended.state}{version}.{downtime}"
        case Outcome.HELD:
            return f"Held after {ended.seconds:.1f} s: the site is {ended.state}{version}, ready to be tested."
        case Outcome.NOTHING_TO_DO:
            state = (
                "the site has no containers yet" if ended.state == "absent" else f"the site is {ended.state}{version}"
            )
            return f"Nothing to do: {state}."
        case Outcome.ROLLED_BACK:
            return f"Rolled back after {ended.seconds:.1f} s: the site is {ended.state}{version}.{downtime}"
        case Outcome.REFUSED:
            return "Refused: nothing was changed."
        case Outcome.FAILED:
            return f"Failed after {ended.seconds:.1f} s: the site is {ended.state}."
        case Outcome.INTERRUPTED:
            return f"Interrupted after {ended.seconds:.1f} s: the site is {ended.state}."
        case _:
            assert_never(ended.outcome)


def _closed_for(ended: OperationEnded) -> str:
    closing = ended.closing
    if ended.downtime_seconds == 0.0 and closing is None:
        return " Visitors were served all the time."
    if ended.downtime_seconds is not None:
        forecast = f" (forecast: {ended.forecast.in_words()})" if ended.forecast else ""
        return f" The site was closed for {seconds_in_words(ended.downtime_seconds)}{forecast}."
    if closing is not None:
        since = f", since `{closing.command}`" if closing.command else ""
        return f" The site was closed for {seconds_in_words(closing.seconds(closing.since))}{since}."
    return ""


def _upgrade_summary(upgrade: Upgrade) -> dict[str, Any]:
    return {
        "way": upgrade.way.value,
        **{
            end: {"image": server.image, "volume": server.volume, "major": major}
            for end, server, major in (
                ("from", upgrade.source, upgrade.source_major),
                ("to", upgrade.target, upgrade.target_major),
            )
        },
    }


def _plan_summary(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"name": step.name, "title": step.title, "cause": step.cause, "closed": index in plan.closed_span}
        for index, step in enumerate(plan.steps)
    ]


def _step_summary(step: StepEnded) -> dict[str, Any]:
    told: dict[str, Any] = {"name": step.name, "outcome": step.outcome.value, "seconds": _rounded(step.seconds)}
    if step.problem:
        told["problem"] = list(step.problem)
    if not step.was_needed:
        told["needed"] = False
    return told


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
