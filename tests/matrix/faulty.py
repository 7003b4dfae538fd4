"""graasp-local with a fault at one point of one step, for the matrix: `python -m tests.matrix.faulty VERB …`.

GRAASP_LOCAL_FAULT is the point, as JSON (see Point). Nothing of the product knows of it: the one method that does steps
and the one that records them are wrapped here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from graasp_local.clock import SystemClock
from graasp_local.errors import EngineUnreachable
from graasp_local.journal.events import Event, StepEnded
from graasp_local.journal.write import Journal
from graasp_local.operations.steps import Performer
from graasp_local.planning.steps import Step

VARIABLE = "GRAASP_LOCAL_FAULT"
_GIVE_UP_SECONDS = 120


class When(StrEnum):
    BEFORE = "before"
    """The step is announced in the journal, and nothing of it was done."""
    DURING = "during"
    """Its effect is under way, or done and not yet recorded."""
    AFTER = "after"
    """It is done and recorded; the next one is not announced."""


class What(StrEnum):
    DIE = "die"
    """SIGKILL to this process alone: commands that it had started go on without it."""
    WAIT = "wait"
    """Say that the point is reached, and wait until the test has done its harm and says to go on."""
    LOSE_ANSWER = "lose-answer"
    """The step had its effect, and then an error is raised as for an engine that did not answer in time."""
    TURN_CLOCK_BACK = "turn-clock-back"
    """From here on the machine's clock is a day behind."""


A_DAY_BACK = -86400.0


@dataclass(frozen=True, slots=True)
class Point:
    """`seconds` after its beginning is during a step; `meeting` is a directory in which the test is met.

    `clock_offset` is how wrong the machine's clock is from the beginning, in seconds.
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
        return  # once is enough: a rollback has steps of the same name
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

    def perform_with_fault(self: Performer, step: Step) -> Iterator[str]:
        here = step.name == point.step
        if here and point.what is What.LOSE_ANSWER:
            yield from perform(self, step)
            if not lost:  # once is enough: a rollback has steps of the same name
                lost.add(step.name)
                raise EngineUnreachable("The engine has not answered in time.")
            return
        if here and point.when is When.BEFORE:
            happen(point)
        if here and point.when is When.DURING:
            timer = threading.Timer(point.seconds, happen, [point])
            timer.start()
            yield from perform(self, step)
            timer.cancel()
            happen(point)  # it was quicker than half of what it took before
        else:
            yield from perform(self, step)

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
