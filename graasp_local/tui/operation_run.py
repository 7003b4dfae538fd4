"""An operation started in the UI: operations.run as on the command line, on a thread, with the same lock and journal.

Outlives the screens: when the UI is closed, its output goes to the terminal as plain lines instead.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graasp_local.clock import InterruptionFlag
from graasp_local.errors import ExitCode, GraaspLocalError
from graasp_local.journal.events import Event, OperationEnded, RollbackStarted, as_json, ended_before_it_began
from graasp_local.planning.requests import Request
from graasp_local.tui.ports import Access

if TYPE_CHECKING:
    from graasp_local.operations.plans import Shown

Deliver = Callable[[dict[str, Any]], object]


class OperationRun:
    """One operation. `run` needs a thread of its own; everything else may be called from any thread."""

    def __init__(self, access: Access, request: Request, shown: Shown, deliver: Deliver) -> None:
        self.request = request
        self.interruption = InterruptionFlag()
        self.ended = threading.Event()
        self.exit_code = ExitCode.UNEXPECTED
        self.goes_on_without_ui = False
        self._access = access
        self._shown = shown
        self._deliver = deliver
        self.step = 0
        """The index of the step that was started last."""
        self.titles: dict[int, str] = {}
        """The title of each step that was started, by index."""
        self._is_ending = False

    def end_soon(self) -> None:
        """Ask the operation to stop at the next safe point.

        Asks only once: a rollback is already ending, and a second request would leave it halfway.
        """
        if not self._is_ending:
            self._is_ending = True
            self.interruption.request()

    def run(self) -> None:
        """Carry out the plan if it is still the one that was shown. Raises nothing: failures are reported as an end."""
        with _deaf_to_hangups():
            self._run()

    def _run(self) -> None:
        from graasp_local.operations.run import RunOptions, run

        try:
            world = self._access.world(self._access.site(), self.interruption, self._narrate)
            for event in run(world, self.request, RunOptions(self._shown)):
                self._tell(event)
        except GraaspLocalError as error:
            self._tell(ended_before_it_began(error))
        except Exception as error:
            self._tell(ended_before_it_began(GraaspLocalError(f"Unexpected error: {type(error).__name__}: {error}")))
        finally:
            self.ended.set()

    def deliver_to(self, deliver: Deliver) -> None:
        """Send all further records to `deliver` instead."""
        self._deliver = deliver

    def _tell(self, event: Event) -> None:
        record = as_json(event)
        self._is_ending = self._is_ending or isinstance(event, RollbackStarted)
        if record["event"] == "step-started":
            self.titles[record["index"]] = record["title"]
            self.step = record["index"]
        if isinstance(event, OperationEnded):
            self.exit_code = event.exit_code
        self._deliver(record)

    def _narrate(self, command: str) -> None:
        self._deliver({"event": "step-output", "index": self.step, "text": f"$ {command}"})


@contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """Keep SIGHUP from processes that this thread starts: closing the terminal would kill Compose in mid-step.

    Child processes inherit the blocked signals; the UI itself still receives SIGHUP.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
