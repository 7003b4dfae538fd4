"""graasp-local's own operations, run inside a test's process: their events and outcome, or an error.

Keeps the process's environment unchanged: Compose prefers the shell's variables to a site's `.env`, so an operation
removes them, and a test needs them back.
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
"""How many lines of the journal an error shows."""


class Operation(Struct, frozen=True):
    """A completed operation: its events and its outcome."""

    events: tuple[Event, ...]
    ended: OperationEnded

    @property
    def outcome(self) -> Outcome:
        return self.ended.outcome

    @property
    def state(self) -> str:
        """The state in which it left the stack."""
        return self.ended.state

    @property
    def version(self) -> str:
        return self.ended.version

    @property
    def lines(self) -> tuple[str, ...]:
        """The events as readable lines."""
        return tuple(line for event in self.events for line in as_lines(event))


class OperationFailed(GraaspLocalError):
    """An operation that did not complete: it was refused, rolled back, or ended half-way.

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
    """The end of a journal, and also the step that failed if the rollback is longer than that."""
    failed = next((number for number, line in enumerate(lines) if line.startswith("  ✗")), len(lines))
    if failed >= len(lines) - LAST_LINES:
        return lines[-LAST_LINES:]
    half = LAST_LINES // 2
    return (*lines[max(0, failed + 1 - half) : failed + 1], "  …", *lines[-half:])


def world_of(site: Site) -> World:
    """The world around a site, as graasp-local's commands see it."""
    from graasp_local.cli.context import Context

    return Context(site.directory).world(InterruptionFlag())


def carry_out(site: Site, request: Request) -> Operation:
    """Plan and run an operation. Raises OperationFailed, or Refused, Locked … before anything is changed."""
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
    """Add an error's other sentences as notes, so that Python shows them below the first if the error is not caught."""
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
    """Restore the process's environment afterwards; with several at a time, the last one does."""
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
