"""graasp-local's own operations, carried out inside a test's process: their events, how they ended, or an error.

Keeps the process's environment as it was: Compose lets the shell win over a site's `.env`, so an operation takes away
the variables that would, and a test wants them back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from graasp_local.clock import InterruptionFlag
from graasp_local.errors import ExitCode, GraaspLocalError
from graasp_local.journal.events import Event, OperationEnded, Outcome, as_lines
from graasp_local.operations.run import run
from graasp_local.planning.requests import Deploy, Request
from graasp_local.ports.world import World
from graasp_local.site.site import Site
from graasp_local.version import Version

LAST_LINES = 25
"""So many lines of the journal an error shows."""


class Operation(Struct, frozen=True):
    """An operation that went through: what it did, event by event, and how it ended."""

    events: tuple[Event, ...]
    ended: OperationEnded

    @property
    def outcome(self) -> Outcome:
        return self.ended.outcome

    @property
    def state(self) -> str:
        """The state that it left the stack in."""
        return self.ended.state

    @property
    def version(self) -> str:
        return self.ended.version

    @property
    def lines(self) -> tuple[str, ...]:
        """The same for people."""
        return tuple(line for event in self.events for line in as_lines(event))


class OperationFailed(GraaspLocalError):
    """An operation that did not go through: it was refused, rolled back, or ended half-way.

    `operation` has its events; the text of the error ends with the last lines of its journal.
    """

    def __init__(self, operation: Operation) -> None:
        ended = operation.ended
        super().__init__(ended.problem[0] if ended.problem else f"The operation ended as {ended.outcome}.")
        self.operation = operation
        self.meaning = " ".join(ended.problem[1:])

    def __str__(self) -> str:
        journal = [f"  {line}" for line in _telling(self.operation.lines)]
        return "\n".join([" ".join(self.sentences), "The last lines of the journal:", *journal])


def _telling(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The end of a journal; where the way back is longer than that, the step that failed besides."""
    failed = next((number for number, line in enumerate(lines) if line.startswith("  ✗")), len(lines))
    if failed >= len(lines) - LAST_LINES:
        return lines[-LAST_LINES:]
    half = LAST_LINES // 2
    return (*lines[max(0, failed + 1 - half) : failed + 1], "  …", *lines[-half:])


def world_of(site: Site) -> World:
    """The world around a site, as a command of graasp-local has it."""
    from graasp_local.cli.context import Context

    return Context(site.directory).world(InterruptionFlag())


def carry_out(site: Site, request: Request) -> Operation:
    """Plan and carry out. Raises OperationFailed, and what is raised before anything is changed (Refused, Locked …)."""
    world = world_of(site)
    if isinstance(request, Deploy):
        world.images.expect(Version.parse(request.version))
    events = tuple(run(world, request))
    ended = next(event for event in reversed(events) if isinstance(event, OperationEnded))
    operation = Operation(events, ended)
    if ended.exit_code is not ExitCode.DONE:
        raise OperationFailed(operation)
    return operation


@contextmanager
def explained() -> Iterator[None]:
    """Have an error's other sentences shown below its first, where Python shows an error that nobody caught."""
    try:
        yield
    except OperationFailed:
        raise
    except GraaspLocalError as error:
        noted = getattr(error, "__notes__", [])
        for sentence in (error.meaning, error.next_step):
            if sentence and sentence not in noted:
                error.add_note(sentence)
        raise


_kept: dict[str, str] = {}
_depth = 0
_keeping = threading.Lock()


@contextmanager
def environment_kept() -> Iterator[None]:
    """Put the process's environment back afterwards: of several at a time, the last one does."""
    global _depth
    with _keeping:
        if _depth == 0:
            _kept.clear()
            _kept.update(os.environ)
        _depth += 1
    try:
        yield
    finally:
        with _keeping:
            _depth -= 1
            if _depth == 0:
                for key in os.environ.keys() - _kept.keys():
                    del os.environ[key]
                os.environ.update(_kept)
