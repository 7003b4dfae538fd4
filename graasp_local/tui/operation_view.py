"""An operation as a view: from its events while it runs here, from its journal afterwards or in another process.

Both consist of the same JSON objects (events.as_json), so one function handles them. Decides nothing about an
operation; keeps only the newest OUTPUT_LINES lines of a step. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import ExitCode
from graasp_local.journal.closings import Closing, closing_of
from graasp_local.planning.states import InfraState
from graasp_local.planning.timings import Range, range_of

OUTPUT_LINES = 2000
_DEPLOYING = frozenset({"deploy", "resume", "rollback", "restore", "upgrade-database"})
KILLED = "killed"
"""The outcome of an operation whose journal has no end although no process is running it."""

_LEADS_TO = {
    "close-gate": InfraState.RESTRICTED,
    "stop-graasp": InfraState.DB_ONLY,
    "stop-administration": InfraState.DB_ONLY,
    "stop-database": InfraState.STOPPED,
    "start-database": InfraState.DB_ONLY,
    "start-graasp": InfraState.RESTRICTED,
    "start-writers": InfraState.RESTRICTED,
    "open-gate": InfraState.RUNNING,
}
"""The state a step leads to, by name, since a journal has only names. The current state is only ever observed."""


class Progress(StrEnum):
    """How far a step is."""

    WAITING = "waiting"
    DOING = "doing"
    DONE = "done"
    FAILED = "failed"
    CUT = "cut"
    """It was running when the operation was killed."""


class StepView(Struct, frozen=True):
    """One step: what the plan says about it, and how it went."""

    name: str
    title: str
    cause: str
    closed: bool
    progress: Progress = Progress.WAITING
    began: float | None = None
    seconds: float | None = None
    output: tuple[str, ...] = ()


class OperationView(Struct, frozen=True):
    """An operation so far. `outcome` is empty while it is running; times are in seconds since 1970."""

    operation: str = ""
    command: str = ""
    target: str = ""
    version: str = ""
    previous_version: str = ""
    began: float = 0.0
    steps: tuple[StepView, ...] = ()
    outcome: str = ""
    state: str = ""
    exit_code: int = 0
    seconds: float | None = None
    downtime_seconds: float | None = None
    closing: Closing | None = None
    """The closing of the site that it ended, whichever operation began it."""
    forecast: Range | None = None
    """For how long it was expected to close the site."""
    problem: tuple[str, ...] = ()
    rollback_from: int | None = None
    """The index of the first rollback step, if the operation was rolled back."""
    last_at: float = 0.0
    """When the last record was written."""

    @property
    def is_over(self) -> bool:
        return bool(self.outcome)

    @property
    def is_deployment(self) -> bool:
        """Whether it deploys a version or undoes one; judged by the command, since it may not have begun."""
        return not _DEPLOYING.isdisjoint(self.command.split())

    @property
    def current(self) -> int | None:
        """The index of the running step."""
        return next((i for i, step in enumerate(self.steps) if step.progress is Progress.DOING), None)

    @property
    def latest(self) -> int | None:
        """The index of the step that was started last; once the operation is over, of the one that failed, if any."""
        failed = [i for i, step in enumerate(self.steps) if step.progress in (Progress.FAILED, Progress.CUT)]
        if self.is_over and failed:
            return failed[0]
        begun = [index for index, step in enumerate(self.steps) if step.progress is not Progress.WAITING]
        return begun[-1] if begun else None

    @property
    def closed_since(self) -> float | None:
        """When this operation began to close the gate, unless it has opened it since."""
        begun = {step.name: step.began for step in reversed(self.steps) if step.began is not None}
        done = {step.name for step in self.steps if step.progress is Progress.DONE}
        return None if "open-gate" in done else begun.get("close-gate")

    def downtime(self, now: float) -> float | None:
        """Seconds for which this operation closed the site: counting while it is closed, final afterwards."""
        if self.downtime_seconds is not None:
            return self.downtime_seconds
        since = self.closed_since
        if since is None:
            closing = next((s.began for s in self.steps if s.name == "close-gate" and s.began is not None), None)
            opening = next((s for s in self.steps if s.name == "open-gate" and s.progress is Progress.DONE), None)
            if closing is None or opening is None or opening.began is None:
                return None
            return opening.began + (opening.seconds or 0) - closing
        if self.is_over and self.seconds is not None:
            return self.began + self.seconds - since
        return max(0.0, now - since)

    def heads_for(self, here: InfraState | None) -> InfraState | None:
        """The next state that the remaining steps lead to from where the site is; None if it stays there.

        Services that are replaced while the gate stays open do not change the state.
        """
        ahead = [step.name for step in self.steps if step.progress in (Progress.WAITING, Progress.DOING)]
        if self.is_over or (here is InfraState.RUNNING and "close-gate" not in ahead):
            return None
        states = (_LEADS_TO.get(name) for name in ahead)
        return next((state for state in states if state not in (None, here)), None)


def advanced(view: OperationView, record: Mapping[str, Any], now: float) -> OperationView:
    """The operation after one more record; `now` is used as its time if the record has none."""
    at = _moment(record, now)
    return replace(_with_record(view, record, at), last_at=at)


def _with_record(view: OperationView, record: Mapping[str, Any], at: float) -> OperationView:
    match record["event"]:
        case "operation-started":
            return OperationView(
                operation=record["operation"],
                command=record["command"],
                target=record["target"],
                version=record["version"] or "",
                previous_version=record.get("previous_version", ""),
                began=at,
                steps=_planned(record["plan"]),
                forecast=range_of(record.get("forecast")),
            )
        case "rollback-started":
            # Steps that were not started no longer run; the rollback steps replace them.
            tried = tuple(step for step in view.steps if step.progress is not Progress.WAITING)
            return replace(view, steps=(*tried, *_planned(record["plan"])), rollback_from=len(tried))
        case "step-started":
            return _with_step(view, record["index"], lambda step: replace(step, progress=Progress.DOING, began=at))
        case "step-output":
            return _with_step(
                view,
                record["index"],
                lambda step: replace(step, output=(*step.output, record["text"])[-OUTPUT_LINES:]),
            )
        case "step-ended":
            progress = Progress.DONE if record["outcome"] == "done" else Progress.FAILED
            return _with_step(
                view, record["index"], lambda step: replace(step, progress=progress, seconds=record["seconds"])
            )
        case "operation-ended":
            return replace(
                view,
                outcome=record["outcome"],
                state=record["state"],
                version=record["version"] or view.version,
                exit_code=record["exit_code"],
                seconds=record["seconds"],
                downtime_seconds=record["downtime_seconds"],
                closing=closing_of(record.get("closing")),
                forecast=range_of(record.get("forecast")) or view.forecast,
                problem=tuple(text for text in record["problem"] if text),
            )
        case _:
            return view


def operation_view(records: Iterable[Mapping[str, Any]]) -> OperationView:
    """A whole operation from the records of its journal."""
    view = OperationView()
    for record in records:
        view = advanced(view, record, view.began)
    return view


def _planned(steps: Iterable[Mapping[str, Any]]) -> tuple[StepView, ...]:
    return tuple(StepView(s["name"], s["title"], s["cause"], bool(s.get("closed"))) for s in steps)


def _with_step(view: OperationView, index: int, change: Any) -> OperationView:
    if not 0 <= index < len(view.steps):
        return view
    return replace(view, steps=(*view.steps[:index], change(view.steps[index]), *view.steps[index + 1 :]))


def _moment(record: Mapping[str, Any], now: float) -> float:
    try:
        return datetime.fromisoformat(record["at"]).timestamp()
    except (KeyError, ValueError):
        return now


def what_now(view: OperationView) -> tuple[tuple[str, str], ...]:
    """What can be done after the operation, as pairs of verb name and words; empty while it is running."""
    match view.outcome:
        case "":
            return ()
        case "failed" | "interrupted" | "killed":
            again = (("resume", "continue it"), ("rollback", "undo it")) if view.is_deployment else ()
            return (*again, ("logs", "read the logs"))
        case "rolled-back":
            fixed = (("deploy", "deploy a fixed version"),) if view.is_deployment else ()
            return (("open", "open the site"), *fixed, ("logs", "read the logs"))
        case "refused" if view.exit_code == ExitCode.LOCKED:
            return (("watch", "watch what is running"),)
        case "refused":
            return (("deploy", "choose another version"),) if view.is_deployment else (("status", "refresh"),)
        case _ if view.state == InfraState.RUNNING:
            return (("open", "open the site"), *_rollback(view), ("history", "earlier operations"))
        case _ if view.state == InfraState.RESTRICTED:
            return (("bypass", "test it with the bypass"), ("apply", "open it to visitors"), *_rollback(view))
        case _:
            return (("apply", "choose another state"), ("maintenance-page", "what visitors see now"))


def _rollback(view: OperationView) -> tuple[tuple[str, str], ...]:
    """A rollback, after a deployment that changed the version."""
    brings_one = not {"deploy", "resume"}.isdisjoint(view.command.split())
    if not brings_one or view.previous_version in ("", view.version):
        return ()
    return (("rollback", f"go back to {view.previous_version}"),)


def in_words(view: OperationView) -> str:
    """One sentence about how the operation ended; empty while it is running."""
    if not view.outcome:
        return ""
    if view.outcome == KILLED:
        return f"Killed after {view.seconds or 0.0:.1f} s, before it finished."
    from graasp_local.journal.events import OperationEnded, Outcome, summary

    if view.outcome not in {*Outcome}:
        # The journal was written by another version of graasp-local.
        return f"{view.outcome.replace('-', ' ').capitalize()}: the site is {view.state}."
    return summary(
        OperationEnded(
            view.operation,
            Outcome(view.outcome),
            view.state,
            view.version,
            view.downtime_seconds,
            view.seconds or 0.0,
            (),
            closing=view.closing,
            forecast=view.forecast,
        )
    )


def killed(view: OperationView) -> OperationView:
    """The view of an operation whose process is gone: its clocks stop at its last record."""

    def cut(step: StepView) -> StepView:
        if step.progress is not Progress.DOING:
            return step
        seconds = max(0.0, view.last_at - step.began) if step.began is not None else None
        return replace(step, progress=Progress.CUT, seconds=seconds)

    steps = tuple(cut(step) for step in view.steps)
    return replace(
        view,
        steps=steps,
        outcome=KILLED,
        state=view.state or "unknown",
        seconds=max(0.0, view.last_at - view.began),
        problem=("The process that ran this is gone.", "graasp-local status says where the site stands."),
    )


def ended_view(view: OperationView) -> OperationView:
    """An earlier operation; if its journal has no end, it was killed."""
    return view if view.is_over else killed(view)
