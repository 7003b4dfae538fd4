"""graasp-local with a fault at one point of one step, for the matrix: `python -m tests.matrix.faulty VERB …`.

GRAASP_LOCAL_FAULT is the point, as JSON (see Point). The product does not know about it: this module wraps the method
that performs steps and the one that records them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from graasp_local.clock import SystemClock
from graasp_local.errors import EngineUnreachable
from graasp_local.journal.events import Event, StepEnded
from graasp_local.journal.write import Journal
from graasp_local.operations.progress import Progress
from graasp_local.operations.steps import Performer
from graasp_local.planning.steps import Step

VARIABLE = "GRAASP_LOCAL_FAULT"
_GIVE_UP_SECONDS = 120


class When(StrEnum):
    BEFORE = "before"
    """The step is announced in the journal, and nothing of it has been done."""
    DURING = "during"
    """The step is in progress, or done but not yet recorded."""
    AFTER = "after"
    """The step is done and recorded; the next one is not announced yet."""


class What(StrEnum):
    DIE = "die"
    """SIGKILL to this process only: commands that it has started continue without it."""
    WAIT = "wait"
    """Report that the point is reached, and wait until the test has caused its fault and lets the process continue."""
    LOSE_ANSWER = "lose-answer"
    """The step takes effect, and then raises the error of an engine that did not answer in time."""
    TURN_CLOCK_BACK = "turn-clock-back"
    """From this point on, the machine's clock is a day behind."""


A_DAY_BACK = -86400.0


@dataclass(frozen=True, slots=True)
class Point:
    """Where a fault happens. With `during`, it happens `seconds` after the step begins.

    `meeting` is the directory in which the test and the process wait for each other. `clock_offset` is by how many
    seconds the machine's clock is wrong from the start.
    """

    when: When
    step: str
    what: What = What.DIE
    seconds: float = 0.0
    meeting: str = ""
    clock_offset: float = 0.0

    def as_variable(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def reached(self) -> Path:
        return Path(self.meeting) / "reached"

    @property
    def go_on(self) -> Path:
        return Path(self.meeting) / "go-on"


def happen(point: Point) -> None:
    if point.what is What.DIE:
        os.kill(os.getpid(), signal.SIGKILL)
    if point.what is What.TURN_CLOCK_BACK:
        set_clock(A_DAY_BACK)
        return
    if point.reached.exists():
        return  # only once: a rollback has steps with the same name
    point.reached.touch()
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    while not point.go_on.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def set_clock(offset: float) -> None:
    SystemClock.now = lambda self: time.time() + offset  # type: ignore[method-assign]


def install(point: Point) -> None:
    set_clock(point.clock_offset)
    perform, write = Performer.perform, Journal.write
    lost: set[str] = set()

    def perform_with_fault(self: Performer, step: Step, progress: Progress) -> Generator[str, None, Progress]:
        here = step.name == point.step
        if here and point.what is What.LOSE_ANSWER:
            progress = yield from perform(self, step, progress)
            if not lost:  # only once: a rollback has steps with the same name
                lost.add(step.name)
                raise EngineUnreachable("The engine has not answered in time.")
            return progress
        if here and point.when is When.BEFORE:
            happen(point)
        if here and point.when is When.DURING:
            timer = threading.Timer(point.seconds, happen, [point])
            timer.start()
            progress = yield from perform(self, step, progress)
            timer.cancel()
            happen(point)  # the step was quicker than `seconds`
        else:
            progress = yield from perform(self, step, progress)
        return progress

    def write_with_fault(self: Journal, event: Event, now: float) -> None:
        write(self, event, now)
        ended = isinstance(event, StepEnded) and event.name == point.step
        if ended and point.when is When.AFTER and point.what is not What.LOSE_ANSWER:
            happen(point)

    Performer.perform = perform_with_fault  # type: ignore[method-assign]
    Journal.write = write_with_fault  # type: ignore[method-assign]


if __name__ == "__main__":
    said = json.loads(os.environ.pop(VARIABLE))
    install(Point(**{**said, "when": When(said["when"]), "what": What(said["what"])}))
    from graasp_local.cli.main import main

    sys.argv[0] = "graasp-local"
    main()
